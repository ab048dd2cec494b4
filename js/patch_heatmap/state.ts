// What belongs to one heatmap model whatever the number of its views: the sweep as its cells arrive, and the
// choice that was asked for and has not come back as traits yet.
import { listen, trait, type ViewModel } from "../lib/model";
import { type KernelEvent, Rpc } from "../lib/rpc";
import { Store } from "../lib/store";
import {
  type Axis,
  applyPartial,
  type Direction,
  decodeResult,
  type PartialJson,
  type ResultJson,
  type Sweep,
} from "./result";

export interface Params {
  activation: string;
  axes: Axis[];
  metric: string;
  direction: Direction;
}

/** A new object whenever cells have changed; the sweep inside it is filled in place. */
export interface Shown {
  sweep: Sweep | null;
  /** Why the result cannot be shown. */
  problem: string | null;
}

export class HeatmapState {
  readonly rpc: Rpc;
  readonly shown: Store<Shown>;
  readonly requested = new Store<Params | null>(null);
  #model: ViewModel;
  #requestId = "";
  #frame = 0;
  #stops: (() => void)[];

  constructor(model: ViewModel) {
    this.#model = model;
    this.rpc = new Rpc(model);
    this.shown = new Store(read(model));
    const traits = ["activation", "axes", "metric", "direction"];
    this.#stops = [
      listen(model, "change:result", () => this.#replace()),
      ...traits.map((name) => listen(model, `change:${name}`, () => this.#arrived())),
      this.rpc.onEvent((event) => this.#onEvent(event)),
    ];
  }

  /** What the menus show: what was asked for last, else what Python has. */
  params(): Params {
    return this.requested.get() ?? readParams(this.#model);
  }

  run(change: Partial<Params>): void {
    const params = { ...this.params(), ...change };
    this.requested.set(params);
    this.#requestId = this.rpc.request("activation_patching", { ...params });
  }

  cancel(): void {
    this.rpc.request("cancel", {});
  }

  dispose(): void {
    for (const stop of this.#stops) stop();
    this.rpc.dispose();
    cancelAnimationFrame(this.#frame);
  }

  #replace(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.shown.set(read(this.#model));
  }

  #arrived(): void {
    const requested = this.requested.get();
    if (requested && sameParams(requested, readParams(this.#model))) this.requested.set(null);
  }

  #onEvent(event: KernelEvent): void {
    if (event.event === "partial") this.#onPartial(event as unknown as PartialJson);
    const over = event.event === "result" || event.event === "error" || event.event === "cancelled";
    if (over && event.id === this.#requestId) this.requested.set(null);
  }

  #onPartial(partial: PartialJson): void {
    const { sweep } = this.shown.get();
    if (!sweep || sweep.json.sweep !== partial.sweep) return;
    applyPartial(sweep, partial);
    // Cells may come faster than frames: views redraw once a frame.
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.shown.set({ ...this.shown.get() });
    });
  }
}

export function readParams(model: ViewModel): Params {
  return {
    activation: trait(model, "activation"),
    axes: trait(model, "axes"),
    metric: trait(model, "metric"),
    direction: trait(model, "direction"),
  };
}

export function sameAxes(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return a?.join() === b?.join();
}

function sameParams(a: Params, b: Params): boolean {
  const same = a.activation === b.activation && a.metric === b.metric && a.direction === b.direction;
  return same && sameAxes(a.axes, b.axes);
}

function read(model: ViewModel): Shown {
  const json = trait<ResultJson | null>(model, "result");
  if (!json) return { sweep: null, problem: null };
  try {
    return { sweep: decodeResult(json), problem: null };
  } catch (error) {
    return { sweep: null, problem: error instanceof Error ? error.message : String(error) };
  }
}
