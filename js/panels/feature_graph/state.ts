// The state that all views of one model share: the graph, the description of the pinned feature, and the effects of
// changes.
import { drawnLater } from "../../lib/drawn_later";
import { listen, type ViewModel } from "../../lib/model";
import { Rpc } from "../../lib/rpc";
import { type Decoded, readResult } from "../../lib/schema";
import { Store } from "../../lib/store";
import { AskedChanges } from "./asked_changes";
import { type Description, decodeDescription } from "./description";
import { decodeEffects, type Effects } from "./effects";
import { decodeGraph, type Graph } from "./graph";

export class FeatureState {
  readonly rpc: Rpc;
  readonly changes: AskedChanges;
  readonly graph: Store<Decoded<Graph>>;
  readonly description: Store<Decoded<Description>>;
  readonly effects: Store<Decoded<Effects>>;
  #stops: (() => void)[];

  constructor(model: ViewModel) {
    this.rpc = new Rpc(model);
    this.changes = new AskedChanges(model, this.rpc);
    this.graph = new Store(readResult(model, "result", decodeGraph));
    this.description = new Store(readResult(model, "description", decodeDescription));
    this.effects = new Store(readResult(model, "effects", decodeEffects));
    this.#stops = [
      listen(
        model,
        "change:result",
        drawnLater(() => this.graph.set(readResult(model, "result", decodeGraph))),
      ),
      listen(model, "change:description", () =>
        this.description.set(readResult(model, "description", decodeDescription)),
      ),
      listen(model, "change:effects", () => this.effects.set(readResult(model, "effects", decodeEffects))),
    ];
  }

  dispose(): void {
    for (const stop of this.#stops) stop();
    this.changes.dispose();
    this.rpc.dispose();
  }
}
