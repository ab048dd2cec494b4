// The state of the tab of causal scrubbing: its result, the one before it, and choices that have not come back yet.
import { listen, trait, type ViewModel } from "../../lib/model";
import { isEnd, type Rpc } from "../../lib/rpc";
import { type Decoded, readResult } from "../../lib/schema";
import { Store } from "../../lib/store";
import { decodeScrubbing, EXACT, SCRUB_ARGUMENTS, type Scrubbing, type ScrubChoice } from "./scrubbing";

export class ScrubState {
  readonly result: Store<Decoded<Scrubbing>>;
  /** What the hypothesis before recovered, in per cent. */
  readonly before = new Store<number | null>(null);
  readonly requested = new Store<ScrubChoice | null>(null);
  #model: ViewModel;
  #rpc: Rpc;
  #request = "";
  #stops: (() => void)[];

  constructor(model: ViewModel, rpc: Rpc) {
    this.#model = model;
    this.#rpc = rpc;
    this.result = new Store(readResult(model, "scrubbing", decodeScrubbing));
    this.#stops = [
      listen(model, "change:scrubbing", () => this.#take(readResult(model, "scrubbing", decodeScrubbing))),
      rpc.onEvent((event) => {
        if (isEnd(event) && event.id === this.#request) this.requested.set(null);
      }),
    ];
  }

  #take(found: Decoded<Scrubbing>): void {
    const shown = this.result.get().value?.json;
    if (shown && found.value && shown.id !== found.value.json.id) this.before.set(shown.recovered);
    if (!found.value) this.before.set(null);
    this.result.set(found);
  }

  /** The settings that the menus show: those requested last, or else Python's. */
  choice(): ScrubChoice {
    const named = ["agree", ...SCRUB_ARGUMENTS].map((name) => [name, trait(this.#model, name)]);
    return this.requested.get() ?? Object.fromEntries(named);
  }

  run(change: Partial<ScrubChoice>): void {
    const choice = { ...this.choice(), ...change };
    this.requested.set(choice);
    this.#request = this.#rpc.request("scrub", choice);
  }

  /** Says what must agree at a node; of one that is exact, `said` keeps that it is. */
  agree(node: string, feature: string, said: boolean): void {
    const { [node]: _, ...others } = this.choice().agree;
    this.run({ agree: feature === EXACT && !said ? others : { ...others, [node]: feature } });
  }

  dispose(): void {
    for (const stop of this.#stops) stop();
  }
}
