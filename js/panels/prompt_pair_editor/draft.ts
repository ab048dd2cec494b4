// What is being written, ahead of the `pair` trait: typing leads, Python follows. One draft and one history
// belong to one model, whatever the number of its views.
import { listen, trait, type ViewModel } from "../../lib/model";
import { Rpc } from "../../lib/rpc";
import { Store } from "../../lib/store";
import { type Pair, samePair } from "./types";

const DEBOUNCE_MS = 120;
const HISTORY = 200;

export class Draft {
  readonly rpc: Rpc;
  readonly pair: Store<Pair>;
  /** Changes with the history: whether there is something to undo or redo. */
  readonly steps = new Store({ undo: false, redo: false });
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** Sent and not come back yet, oldest first: when the trait turns to one of these, that is our own echo. */
  #sent: Pair[] = [];
  #history: Pair[];
  #at = 0;
  #stops: (() => void)[];

  constructor(model: ViewModel) {
    const pair = trait<Pair>(model, "pair");
    this.#history = [pair];
    this.pair = new Store(pair);
    this.rpc = new Rpc(model);
    this.#stops = [
      listen(model, "change:pair", () => this.#follow(trait<Pair>(model, "pair"))),
      this.rpc.onEvent(({ event }) => {
        // Whatever has not come back by now never will.
        if (event === "result" || event === "error") this.#sent = [];
      }),
    ];
  }

  /** A keystroke: sent, and made one step of the history, once the typing rests. */
  type(change: Partial<Pair>): void {
    this.pair.set({ ...this.pair.get(), ...change });
    this.#stopTimer();
    this.#timer = setTimeout(() => this.flush(), DEBOUNCE_MS);
  }

  /** A whole step at once: a template, a fix, a toggle. */
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

  /** Sends what has been typed so far. */
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
    // Python has changed the pair. Unfinished typing is sent in a moment and so has the last word.
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

  /** Ends the typing that is under way and makes it a step of the history. */
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
