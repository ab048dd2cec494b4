// The state that all views of one lens model share: the columns as they arrive, the lines of the pinned cell, and the
// requested settings that have not come back as traits yet.
import { drawnLater } from "../../lib/drawn_later";
import { listen, trait, type ViewModel } from "../../lib/model";
import { isEnd, type KernelEvent, Rpc } from "../../lib/rpc";
import { type Decoded, readResult } from "../../lib/schema";
import type { ShownSide } from "../../lib/side_menu";
import { Store } from "../../lib/store";
import type { LogitLensRequest } from "../../wire/requests";
import { Attribution, type AttributionJson, type SourcesJson } from "./attribution";
import { Lines } from "./lines";
import { decodeLens, type Lens } from "./result";
import { type Shown, shownSide } from "./sides";
import { Windows } from "./windows";

/** A new object whenever columns have arrived; the lens inside it is filled in place. */
export type ShownLens = Decoded<Lens>;

/** The choices in the menus, as in the request; followed tokens are given as texts. */
export type Choice = Required<Omit<LogitLensRequest, "targets" | "prepend_bos">> & { targets: string[] };

/** How many of the likeliest tokens are kept by default. */
const TOP_K = 10;

export class LensState {
  readonly rpc: Rpc;
  readonly shown: Store<ShownLens>;
  readonly attribution: Store<Decoded<Attribution>>;
  readonly requested = new Store<Choice | null>(null);
  /** The text of the followed token that colours the grid; if the lens does not follow it (yet), its first token is used. */
  readonly target = new Store("");
  readonly lines: Lines;
  readonly windows: Windows;
  #model: ViewModel;
  #lensRequest = "";
  #frame = 0;
  #stops: (() => void)[];

  constructor(model: ViewModel) {
    this.#model = model;
    this.rpc = new Rpc(model);
    this.shown = new Store(readResult(model, "result", decodeLens));
    this.attribution = new Store(readAttribution(model));
    this.lines = new Lines(this.rpc);
    this.windows = new Windows(this.rpc, () => this.#redraw());
    this.#stops = [
      listen(
        model,
        "change:result",
        drawnLater(() => this.#replace()),
      ),
      listen(model, "change:attribution", () => this.attribution.set(readAttribution(model))),
      this.rpc.onEvent((event) => this.#onEvent(event)),
    ];
  }

  /** Which of the followed tokens colours the grid. */
  targetIndex(lens: Lens): number {
    return Math.max(
      0,
      lens.json.targets.findIndex(({ text }) => text === this.target.get()),
    );
  }

  /** The displayed side of the current result. */
  shownSide(): Shown | null {
    const { value: lens } = this.shown.get();
    return lens && shownSide(lens, trait<ShownSide>(this.#model, "side"));
  }

  /** The settings that the menus show: those requested last, or else Python's. */
  choice(): Choice {
    const json = this.shown.get().value?.json;
    const { top_k = TOP_K, last = null } = json?.params ?? {};
    const targets = json?.targets.map(({ text }) => text) ?? [];
    const stream = trait<Choice["stream"]>(this.#model, "stream");
    const lens = trait<Choice["lens"]>(this.#model, "lens");
    return this.requested.get() ?? { stream, lens, targets, top_k, last };
  }

  run(change: Partial<Choice>): void {
    const choice = { ...this.choice(), ...change };
    this.requested.set(choice);
    this.#lensRequest = this.rpc.request("logit_lens", { ...choice });
  }

  follow(text: string): void {
    const { targets } = this.choice();
    if (text !== "" && !targets.includes(text)) this.run({ targets: [...targets, text] });
  }

  unfollow(text: string): void {
    this.run({ targets: this.choice().targets.filter((target) => target !== text) });
  }

  showPrompt(text: string): void {
    this.rpc.request("show", { text });
  }

  attribute(answer: string, wrong_answer: string | null, position: number): void {
    this.rpc.request("attribute", { answer, wrong_answer, position });
  }

  /** Requests a head's sources if the attribution came without them. */
  needSources(attribution: Attribution, layer: number, head: number): void {
    if (!attribution.sourcesOf(layer, head)) this.rpc.request("sources", { layer, head });
  }

  dispose(): void {
    for (const stop of this.#stops) stop();
    this.lines.dispose();
    this.rpc.dispose();
    cancelAnimationFrame(this.#frame);
  }

  #replace(): void {
    this.windows.reset();
    this.lines.clear();
    this.shown.set(readResult(this.#model, "result", decodeLens));
  }

  #onEvent(event: KernelEvent): void {
    const { value: lens } = this.shown.get();
    if (event.event === "window" && lens) this.windows.take(lens, event);
    if (event.event === "sources") this.#takeSources(event as unknown as SourcesJson);
    if (!isEnd(event)) return;
    if (event.id === this.#lensRequest) this.requested.set(null);
    this.windows.over(event);
    this.lines.over(event);
  }

  #takeSources(event: SourcesJson): void {
    this.attribution.get().value?.takeSources(event);
    this.attribution.set({ ...this.attribution.get() });
  }

  /** Windows may arrive faster than frames, so views redraw once a frame. */
  #redraw(): void {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.shown.set({ ...this.shown.get() });
    });
  }
}

function readAttribution(model: ViewModel): Decoded<Attribution> {
  return readResult(model, "attribution", (json: AttributionJson) => new Attribution(json));
}
