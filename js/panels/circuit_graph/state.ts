// The state that all views of one model share: the graph, the steps of the trail, and requested choices that have not
// come back as traits yet.
import { drawnLater } from "../../lib/drawn_later";
import { listen, trait, type ViewModel } from "../../lib/model";
import { isEnd, Rpc } from "../../lib/rpc";
import { type Decoded, readResult } from "../../lib/schema";
import { Store } from "../../lib/store";
import type { EdgeAttributionRequest } from "../../wire/requests";
import { decodeGraph, type Graph } from "./graph";
import { decodePath, type Path, type PathJson } from "./paths";
import { type Curves, decodeCurves, decodeRobustness, type Robustness } from "./runs";
import { ScrubState } from "./scrub_state";
import { decodeLeft, decodeSearch, type Left, type LeftJson, type Search, type Settings } from "./search";

export type Choice = Required<Pick<EdgeAttributionRequest, "rules" | "ig_steps" | "direction">> & {
  metric: string;
};

export class CircuitState {
  readonly rpc: Rpc;
  readonly graph: Store<Decoded<Graph>>;
  readonly paths: Store<(Path | null)[]>;
  readonly robustness: Store<Decoded<Robustness>>;
  readonly curves: Store<Decoded<Curves>>;
  readonly search: Store<Decoded<Search>>;
  /** What is left while a search runs. */
  readonly left: Store<Left | null>;
  /** The settings of a search that were chosen since the last one began. */
  readonly draft = new Store<Partial<Settings>>({});
  readonly requested = new Store<Choice | null>(null);
  readonly scrub: ScrubState;
  #model: ViewModel;
  #request = "";
  #stops: (() => void)[];

  constructor(model: ViewModel) {
    this.#model = model;
    this.rpc = new Rpc(model);
    this.graph = new Store(readResult(model, "result", decodeGraph));
    this.paths = new Store(readPaths(model));
    this.robustness = new Store(readResult(model, "robustness", decodeRobustness));
    this.curves = new Store(readResult(model, "faithfulness", decodeCurves));
    this.search = new Store(readResult(model, "acdc", decodeSearch));
    this.left = new Store(this.#readLeft());
    this.scrub = new ScrubState(model, this.rpc);
    this.#stops = [
      listen(model, "change:search", () => this.draft.set({})),
      listen(model, "change:acdc", () => {
        this.search.set(readResult(model, "acdc", decodeSearch));
        this.left.set(this.#readLeft());
      }),
      listen(
        model,
        "change:searching",
        drawnLater(() => this.left.set(this.#readLeft())),
      ),
      listen(
        model,
        "change:result",
        drawnLater(() => this.graph.set(readResult(model, "result", decodeGraph))),
      ),
      listen(model, "change:robustness", () =>
        this.robustness.set(readResult(model, "robustness", decodeRobustness)),
      ),
      listen(model, "change:faithfulness", () =>
        this.curves.set(readResult(model, "faithfulness", decodeCurves)),
      ),
      listen(model, "change:paths", () => this.paths.set(readPaths(model))),
      this.rpc.onEvent((event) => {
        if (isEnd(event) && event.id === this.#request) this.requested.set(null);
      }),
    ];
  }

  /** The settings that the menus show: those requested last, or else Python's. */
  choice(): Choice {
    const own = (name: string) => trait<never>(this.#model, name);
    const python = {
      rules: own("rules"),
      ig_steps: own("ig_steps"),
      direction: own("direction"),
      metric: own("metric"),
    };
    return this.requested.get() ?? python;
  }

  run(change: Partial<Choice>): void {
    const choice = { ...this.choice(), ...change };
    this.requested.set(choice);
    this.#request = this.rpc.requestNamed("edge_attribution", choice);
  }

  /** Makes nodes the receivers of a step; what came after it is left out. */
  follow(receivers: string[], step: number): void {
    this.rpc.request("follow", { receivers, step });
  }

  /** Searches a circuit by removing edges. */
  startSearch(settings: Settings): void {
    this.rpc.requestNamed("acdc", settings);
  }

  #readLeft(): Left | null {
    const json = trait<LeftJson | null | undefined>(this.#model, "searching");
    const { value: search } = this.search.get();
    // Until the search itself is here, what is left of it can't be named.
    return json && search && json.id === search.json.id
      ? decodeLeft(json, search, this.graph.get().value)
      : null;
  }

  /** Runs what was stopped of the open tab. */
  runAgain(): void {
    this.rpc.request("run_again", {});
  }

  dispose(): void {
    for (const stop of this.#stops) stop();
    this.scrub.dispose();
    this.rpc.dispose();
  }
}

function readPaths(model: ViewModel): (Path | null)[] {
  return trait<(PathJson | null)[]>(model, "paths").map((json) => json && decodePath(json));
}
