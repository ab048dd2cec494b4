// What belongs to one heatmap model whatever the number of its views: the sweep as its cells arrive, the cells that
// are picked, and the choice that was asked for and has not come back as traits yet.
import { listen, type Selection, trait, type ViewModel } from "../../lib/model";
import { type KernelEvent, Rpc } from "../../lib/rpc";
import { Store } from "../../lib/store";
import { ofMeasure } from "./measures";
import { PARAM_TRAITS, type Params, readParams, sameParams } from "./params";
import { selectedCell, selectionOf } from "./places";
import { applyPartial, decodeResult, type PartialJson, type ResultJson, type Sweep } from "./result";

/** A new object whenever cells have changed; the sweep inside it is filled in place. */
export interface Shown {
  sweep: Sweep | null;
  /** Why the result cannot be shown. */
  problem: string | null;
}

/** What patching several cells at once did. */
export interface Together {
  cells: NonNullable<Selection>[];
  normalized: number | null;
  value: number | null;
  sum: number | null;
  metric: string;
}

export const NEURONS = [10, 20, 50];

export class HeatmapState {
  readonly rpc: Rpc;
  readonly shown: Store<Shown>;
  readonly opened: Store<Shown>;
  readonly picked: Store<readonly number[]>;
  /** How many neurons are shown a layer. */
  readonly neurons = new Store(20);
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
    this.picked = new Store(this.#cellsTogether());
    this.#stops = [
      listen(model, "change:result", () => this.#replace()),
      listen(model, "change:opened", () => this.opened.set(read(model, "opened"))),
      listen(model, "change:together", () => this.#showTogether()),
      ...PARAM_TRAITS.map((name) => listen(model, `change:${name}`, () => this.#arrived())),
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

  /** Without a kernel: the same sweep, by another metric that it measured. */
  showMeasure(metric: string): void {
    this.shown.set(read(this.#model, "result", metric));
    this.opened.set(read(this.#model, "opened", metric));
  }

  patchTogether(): void {
    const { sweep } = this.shown.get();
    if (!sweep) return;
    const cells = this.picked.get().map((cell) => selectionOf(sweep, cell));
    this.rpc.request("patch_together", { cells });
  }

  open(cell: number): void {
    const { sweep } = this.shown.get();
    if (sweep) this.rpc.request("open", { cell: selectionOf(sweep, cell) });
  }

  close(): void {
    this.rpc.request("close_opened", {});
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
    const before = this.shown.get().sweep;
    this.shown.set(read(this.#model, "result"));
    const { sweep } = this.shown.get();
    const same = sweep && before && placesOf(sweep) === placesOf(before);
    if (!same) this.picked.set([]);
  }

  #showTogether(): void {
    const cells = this.#cellsTogether();
    if (cells.length > 0) this.picked.set(cells);
  }

  #cellsTogether(): number[] {
    const { sweep } = this.shown.get();
    const together = trait<Together | null | undefined>(this.#model, "together");
    const cells = (together?.cells ?? []).map((cell) => sweep && selectedCell(sweep, cell));
    return cells.filter((cell) => cell !== null);
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

/** Two sweeps with the same one have the same cells in the same places. */
function placesOf({ json }: Sweep): string {
  return JSON.stringify([json.axes, json.labels, json.places]);
}

function read(model: ViewModel, name: "result" | "opened", metric?: string): Shown {
  const json = trait<ResultJson | null | undefined>(model, name);
  if (!json) return { sweep: null, problem: null };
  try {
    return { sweep: decodeResult(metric ? ofMeasure(json, metric) : json), problem: null };
  } catch (error) {
    return { sweep: null, problem: error instanceof Error ? error.message : String(error) };
  }
}
