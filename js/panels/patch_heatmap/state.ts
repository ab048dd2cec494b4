// The state that all views of one heatmap model share: the sweep as its cells arrive, the picked cells, and the requested
// settings that have not come back as traits yet.
import { drawnLater } from "../../lib/drawn_later";
import { listen, trait, type ViewModel } from "../../lib/model";
import type { Place } from "../../lib/place";
import { isEnd, type KernelEvent, Rpc } from "../../lib/rpc";
import { type Decoded, readResult } from "../../lib/schema";
import { Store } from "../../lib/store";
import type { TopJson } from "../../lib/top_tokens";
import type { Requests } from "../../wire/requests";
import {
  argumentsOf,
  type HeatmapInfo,
  PARAM_TRAITS,
  type Params,
  readParams,
  sameParams,
  takes,
} from "./params";
import { cellOf, placeOf } from "./places";
import {
  applyPartial,
  decodeResult,
  ofMeasure,
  type PartialJson,
  type ResultJson,
  type Run,
  type Sweep,
} from "./result";

/** A new object whenever cells have changed; the sweep inside it is filled in place. */
export type ShownSweep = Decoded<Sweep>;

/** The effect of patching several cells at once. */
export interface Together {
  cells: Place[];
  normalized: number | null;
  value: number | null;
  sum: number | null;
  metric: string;
  /** The likely tokens of the joint run. */
  top?: TopJson | null;
  tokens?: Record<string, string>;
}

export const NEURONS = [10, 20, 50];

export class HeatmapState {
  readonly rpc: Rpc;
  readonly shown: Store<ShownSweep>;
  readonly opened: Store<ShownSweep>;
  /** The map that others are compared with, and the shown map minus it. */
  readonly kept: Store<ShownSweep>;
  readonly difference: Store<ShownSweep>;
  readonly picked: Store<readonly number[]>;
  /** How many neurons each layer shows. */
  readonly neurons = new Store(20);
  /** Whether the equal columns before the first difference are shown. */
  readonly unfolded = new Store(false);
  readonly requested = new Store<Params | null>(null);
  #model: ViewModel;
  #requestId = "";
  #frame = 0;
  #stops: (() => void)[];

  constructor(model: ViewModel) {
    this.#model = model;
    this.rpc = new Rpc(model);
    this.shown = new Store(read(model, "result"));
    this.opened = new Store(read(model, "opened"));
    this.kept = new Store(read(model, "kept"));
    this.difference = new Store(read(model, "difference"));
    this.picked = new Store(this.#cellsTogether());
    this.#stops = [
      listen(
        model,
        "change:result",
        drawnLater(() => this.#replace()),
      ),
      listen(model, "change:opened", () => this.opened.set(read(model, "opened"))),
      ...(["kept", "difference"] as const).map((name) =>
        listen(
          model,
          `change:${name}`,
          drawnLater(() => this[name].set(read(model, name))),
        ),
      ),
      listen(model, "change:together", () => this.#showTogether()),
      ...PARAM_TRAITS.map((name) => listen(model, `change:${name}`, () => this.#arrived())),
      this.rpc.onEvent((event) => this.#onEvent(event)),
    ];
  }

  /** The settings that the menus show: those requested last, or else Python's. */
  params(): Params {
    return this.requested.get() ?? readParams(this.#model);
  }

  run(change: Partial<Params>): void {
    const params = { ...this.params(), ...change };
    this.requested.set(params);
    const info = trait<HeatmapInfo>(this.#model, "info");
    const known = Object.entries(argumentsOf(params)).filter(([name]) => takes(info, params, name));
    this.#requestId = this.rpc.requestNamed(params.method, Object.fromEntries(known));
  }

  /** Shows another metric of the same sweep, without a kernel. */
  showMeasure(metric: string): void {
    this.shown.set(read(this.#model, "result", metric));
    this.opened.set(read(this.#model, "opened", metric));
  }

  setAnswer(side: Run, answer: string): void {
    this.rpc.request("set_answer", { side, answer });
  }

  /** Sweeps only these parts of the model; everything if none are given. */
  restrict(parts: Requests["restrict"]): void {
    this.rpc.request("restrict", parts);
  }

  patchTogether(): void {
    const { value: sweep } = this.shown.get();
    if (!sweep) return;
    const cells = this.picked.get().map((cell) => placeOf(sweep, cell));
    this.rpc.request("patch_together", { cells });
  }

  open(cell: number): void {
    const { value: sweep } = this.shown.get();
    if (sweep) this.rpc.request("open", { cell: placeOf(sweep, cell) });
  }

  close(): void {
    this.rpc.request("close_opened", {});
  }

  keep(): void {
    this.rpc.request("keep", {});
  }

  dropKept(): void {
    this.rpc.request("drop_kept", {});
  }

  dispose(): void {
    for (const stop of this.#stops) stop();
    this.rpc.dispose();
    cancelAnimationFrame(this.#frame);
  }

  #replace(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const before = this.shown.get().value;
    this.shown.set(read(this.#model, "result"));
    const { value: sweep } = this.shown.get();
    const same = sweep && before && placesOf(sweep) === placesOf(before);
    if (!same) this.picked.set([]);
  }

  #showTogether(): void {
    const cells = this.#cellsTogether();
    if (cells.length > 0) this.picked.set(cells);
  }

  #cellsTogether(): number[] {
    const { value: sweep } = this.shown.get();
    const together = trait<Together | null | undefined>(this.#model, "together");
    const cells = (together?.cells ?? []).map((cell) => sweep && cellOf(sweep, cell));
    return cells.filter((cell) => cell !== null);
  }

  #arrived(): void {
    const requested = this.requested.get();
    if (requested && sameParams(requested, readParams(this.#model))) this.requested.set(null);
  }

  #onEvent(event: KernelEvent): void {
    const { value: sweep } = this.shown.get();
    if (event.event === "partial" && sweep?.json.id === event.id) {
      this.#fill(sweep, event as unknown as PartialJson);
    }
    if (isEnd(event) && event.id === this.#requestId) this.requested.set(null);
  }

  #fill(sweep: Sweep, cells: PartialJson): void {
    applyPartial(sweep, cells);
    // Cells may arrive faster than frames, so views redraw once a frame.
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.shown.set({ ...this.shown.get() });
    });
  }
}

/** A key that is equal for sweeps with the same cells. */
function placesOf({ json }: Sweep): string {
  return JSON.stringify([json.axes, json.labels, json.places]);
}

type MapName = "result" | "opened" | "kept" | "difference";

function read(model: ViewModel, name: MapName, metric?: string): ShownSweep {
  return readResult(model, name, (json: ResultJson) => decodeResult(metric ? ofMeasure(json, metric) : json));
}
