// What belongs to one lens model whatever the number of its views: the columns as they arrive, the lines of the
// pinned cell, and what was asked for and has not come back as traits yet.
import { listen, trait, type ViewModel } from "../../lib/model";
import { type KernelEvent, Rpc } from "../../lib/rpc";
import { Store } from "../../lib/store";
import { type Attribution, decodeAttribution, type SourcesJson } from "./attribution";
import { Lines } from "./lines";
import { decodeLens, type Lens } from "./result";
import { Windows } from "./windows";

/** A new object whenever columns have come; the lens inside it is filled in place. */
export interface ShownLens {
  lens: Lens | null;
  /** Why the result cannot be shown. */
  problem: string | null;
}

export interface ShownAttribution {
  attribution: Attribution | null;
  problem: string | null;
}

/** What the menus choose; the same names as in the request. */
export interface Choice {
  stream: string;
  lens: string;
  targets: string[];
  top_k: number;
  /** Of a prompt that is too long only so many tokens are read, from its end. */
  last: number | null;
}

/** Where nothing says how many of the likeliest tokens are kept. */
const TOP_K = 10;

export class LensState {
  readonly rpc: Rpc;
  readonly shown: Store<ShownLens>;
  readonly attribution: Store<ShownAttribution>;
  readonly requested = new Store<Choice | null>(null);
  /** Which of the followed tokens colours the grid. */
  readonly target = new Store(0);
  /** The head whose sources are shown: [layer, head]. */
  readonly head = new Store<readonly [number, number] | null>(null);
  readonly lines: Lines;
  readonly windows: Windows;
  #model: ViewModel;
  #lensRequest = "";
  #frame = 0;
  #stops: (() => void)[];

  constructor(model: ViewModel) {
    this.#model = model;
    this.rpc = new Rpc(model);
    this.shown = new Store(readLens(model));
    this.attribution = new Store(readAttribution(model));
    this.lines = new Lines(this.rpc);
    this.windows = new Windows(this.rpc, () => this.#redraw());
    this.#stops = [
      listen(model, "change:result", () => this.#replace()),
      listen(model, "change:attribution", () => this.#attributed()),
      this.rpc.onEvent((event) => this.#onEvent(event)),
    ];
  }

  /** What the menus show: what was asked for last, else what Python has. */
  choice(): Choice {
    const made = this.shown.get().lens?.json.params;
    const { targets = [], top_k = TOP_K, last = null } = made ?? {};
    const [stream, lens] = [trait<string>(this.#model, "stream"), trait<string>(this.#model, "lens")];
    return this.requested.get() ?? { stream, lens, targets, top_k, last };
  }

  run(change: Partial<Choice>): void {
    const choice = { ...this.choice(), ...change };
    this.requested.set(choice);
    this.#lensRequest = this.rpc.request("lens", { ...choice });
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

  /** Asks for a head's sources where the attribution came without them. */
  chooseHead(layer: number, head: number): void {
    this.head.set([layer, head]);
    const { attribution } = this.attribution.get();
    if (attribution && !attribution.sourcesOf(layer, head) && !this.#model.readonly) {
      this.rpc.request("sources", { layer, head });
    }
  }

  cancel(): void {
    this.rpc.request("cancel", {});
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
    this.target.set(0);
    this.shown.set(readLens(this.#model));
  }

  /** The head that was chosen stays chosen. */
  #attributed(): void {
    this.attribution.set(readAttribution(this.#model));
    const head = this.head.get();
    if (head) this.chooseHead(...head);
  }

  #onEvent(event: KernelEvent): void {
    const { lens } = this.shown.get();
    if (event.event === "window" && lens) this.windows.take(lens, event);
    if (event.event === "sources") this.#takeSources(event as unknown as SourcesJson);
    const over = event.event === "result" || event.event === "error" || event.event === "cancelled";
    if (!over) return;
    if (event.id === this.#lensRequest) this.requested.set(null);
    this.windows.over(event);
    this.lines.over(event);
  }

  #takeSources(event: SourcesJson): void {
    const { attribution, problem } = this.attribution.get();
    attribution?.takeSources(event);
    this.attribution.set({ attribution, problem });
  }

  /** Windows may come faster than frames: views redraw once a frame. */
  #redraw(): void {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.shown.set({ ...this.shown.get() });
    });
  }
}

/** What is in a trait, decoded, or why it cannot be. */
function read<Json, T>(model: ViewModel, name: string, decode: (json: Json) => T) {
  const json = trait<Json | null | undefined>(model, name);
  if (!json) return { value: null, problem: null };
  try {
    return { value: decode(json), problem: null };
  } catch (error) {
    return { value: null, problem: error instanceof Error ? error.message : String(error) };
  }
}

function readLens(model: ViewModel): ShownLens {
  const { value, problem } = read(model, "result", decodeLens);
  return { lens: value, problem };
}

function readAttribution(model: ViewModel): ShownAttribution {
  const { value, problem } = read(model, "attribution", decodeAttribution);
  return { attribution: value, problem };
}
