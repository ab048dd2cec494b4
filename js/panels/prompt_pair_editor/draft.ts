// The pair as it is being edited, ahead of the `pair` trait: typing comes first, and Python follows. All views of one
// model share a draft and its history.
import { listen, trait, type ViewModel } from "../../lib/model";
import { Rpc } from "../../lib/rpc";
import { Store } from "../../lib/store";
import { columnsOf } from "./alignment";
import { type Column, type Pair, samePair, type Tokens } from "./types";

const NO_TOKENS = { ids: [], tokens: [] };
const NOTHING: Tokens = {
  clean: NO_TOKENS,
  corrupt: NO_TOKENS,
  clean_answer: NO_TOKENS,
  corrupt_answer: NO_TOKENS,
  columns: [],
  warnings: [],
};
const DEBOUNCE_MS = 120;
const HISTORY = 200;

export class Draft {
  readonly rpc: Rpc;
  readonly pair: Store<Pair>;
  /** Whether there is something to undo or redo. */
  readonly steps = new Store({ undo: false, redo: false });
  #model: ViewModel;
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** Pairs that were sent and have not come back, oldest first. When the trait becomes one of these, it is our own
   *  echo. */
  #sent: Pair[] = [];
  #history: Pair[];
  #at = 0;
  #stops: (() => void)[];

  constructor(model: ViewModel) {
    const pair = trait<Pair>(model, "pair");
    this.#model = model;
    this.#history = [pair];
    this.pair = new Store(pair);
    this.rpc = new Rpc(model);
    this.#stops = [
      listen(model, "change:pair", () => this.#follow(trait<Pair>(model, "pair"))),
      this.rpc.onEvent(({ event }) => {
        // An older pair that has not come back by now never will.
        if (event === "result" || event === "error") this.#sent = [];
      }),
    ];
  }

  /** Empty until the tokenizer has run for the first time. */
  tokens(): Tokens {
    return { ...NOTHING, ...trait<Partial<Tokens> | null>(this.#model, "tokens") };
  }

  columns(): Column[] {
    const { alignment } = this.pair.get();
    return alignment ? columnsOf(alignment, this.tokens()) : this.tokens().columns;
  }

  /** A keystroke. Once the typing pauses, the pair is sent and becomes a step of the history. */
  type(change: Partial<Pair>): void {
    this.pair.set({ ...this.pair.get(), ...change });
    this.#stopTimer();
    this.#timer = setTimeout(() => this.flush(), DEBOUNCE_MS);
  }

  /** A change that is a complete step by itself: a template, a fix, a toggle. */
  replace(pair: Pair): void {
    this.#settle();
    if (samePair(pair, this.pair.get())) return;
    this.pair.set(pair);
    this.flush();
  }

  undo(): void {
    this.#settle();
    this.#goTo(this.#at - 1);
  }

  redo(): void {
    this.#settle();
    this.#goTo(this.#at + 1);
  }

  /** Sends the text typed so far. */
  flush(): void {
    this.#settle();
    this.#send();
  }

  dispose(): void {
    if (this.#timer !== null) this.flush();
    for (const stop of this.#stops) stop();
    this.rpc.dispose();
  }

  #follow(pair: Pair): void {
    const echo = this.#sent.findIndex((sent) => samePair(sent, pair));
    if (echo >= 0) {
      this.#sent.splice(0, echo + 1);
      return;
    }
    // Python has changed the pair. Unfinished typing is sent in a moment and wins.
    if (this.#timer !== null || samePair(pair, this.pair.get())) return;
    this.pair.set(pair);
    this.#remember();
  }

  #goTo(at: number): void {
    const pair = this.#history[at];
    if (!pair) return;
    this.#at = at;
    this.pair.set(pair);
    this.#tellSteps();
    this.#send();
  }

  /** Ends the typing and adds it to the history as one step. */
  #settle(): void {
    this.#stopTimer();
    this.#remember();
  }

  #send(): void {
    const pair = this.pair.get();
    this.#sent.push(pair);
    this.rpc.request("edit", { pair });
  }

  #remember(): void {
    const pair = this.pair.get();
    const current = this.#history[this.#at];
    if (current && samePair(current, pair)) return;
    this.#history = [...this.#history.slice(0, this.#at + 1), pair].slice(-HISTORY);
    this.#at = this.#history.length - 1;
    this.#tellSteps();
  }

  #tellSteps(): void {
    this.steps.set({ undo: this.#at > 0, redo: this.#at < this.#history.length - 1 });
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
