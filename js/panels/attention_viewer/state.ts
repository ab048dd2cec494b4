// What belongs to one model whatever the number of its views: the result, the heads that came one by one, the scores,
// and what was asked for and has not been answered.
import { listen, trait, type ViewModel, write } from "../../lib/model";
import { decodeBytes } from "../../lib/ndarray";
import { type KernelEvent, Rpc } from "../../lib/rpc";
import { Store } from "../../lib/store";
import type { ActionName } from "./actions";
import { HeadCache } from "./head_cache";
import { type Attention, decodeResult, type Head, type ResultJson, type SideName } from "./result";
import type { ScaleName } from "./scale";
import { decodeScores, type Score, type ScoreJson } from "./scores";
import type { Thumbs, ThumbsJson } from "./thumb_codes";

export interface Shown {
  attention: Attention | null;
  /** Why the result cannot be shown. */
  problem: string | null;
}

/** What was asked of one head, or of all. */
export interface Asked {
  id: string;
  what: ActionName | "scores";
  head: Head | null;
  /** Why there is no answer. */
  problem: string | null;
}

const OVER = new Set(["result", "error", "cancelled"]);
/** More large matrices are neither looked at nor sent. */
export const MOST_OPENED = 12;

export class AttentionState {
  readonly rpc: Rpc;
  readonly heads: HeadCache;
  readonly shown: Store<Shown>;
  readonly thumbs: Store<Thumbs | null>;
  readonly scores: Store<Score[]>;
  /** The kind that was asked for and has not come. */
  readonly kind = new Store<string | null>(null);
  readonly asked = new Store<Asked | null>(null);
  /** The head that went because one more was opened than can be. */
  readonly putAway = new Store<Head | null>(null);
  #model: ViewModel;
  #json: ResultJson | null;
  #request = "";
  #stops: (() => void)[];

  constructor(model: ViewModel) {
    this.#model = model;
    this.rpc = new Rpc(model);
    this.heads = new HeadCache(this.rpc);
    this.shown = new Store(readResult(model));
    this.#json = trait<ResultJson | null | undefined>(model, "result") ?? null;
    this.thumbs = new Store(readThumbs(model));
    this.scores = new Store(this.#readScores());
    this.#stops = [
      listen(model, "change:result", () => this.#replace()),
      listen(model, "change:status", () => this.#replace()),
      listen(model, "change:thumbs", () => this.thumbs.set(readThumbs(model))),
      listen(model, "change:scores", () => this.scores.set(this.#readScores())),
      this.rpc.onEvent((event) => this.#onEvent(event)),
    ];
  }

  run(params: { kind?: string; last?: number } = {}): void {
    if (params.kind) this.kind.set(params.kind);
    this.#request = this.rpc.request("attention", params);
  }

  showPrompt(text: string): void {
    this.rpc.request("show", { text });
  }

  /** Asks something about one head: `method` of the contract, with its answer in a trait. */
  act(what: ActionName, method: string, head: Head, params: Record<string, unknown>): void {
    const id = this.rpc.request(method, { layer: head[0], head: head[1], ...params });
    this.asked.set({ id, what, head, problem: null });
  }

  measureHeads(): void {
    const id = this.rpc.request("head_scores", {});
    this.asked.set({ id, what: "scores", head: null, problem: null });
  }

  cancel(): void {
    this.rpc.request("cancel", {});
  }

  /** Opens the head, or closes it if it is open. Of too many the first one goes, which the view says. */
  toggle(head: Head): void {
    const opened = trait<Head[] | undefined>(this.#model, "opened") ?? [];
    const others = opened.filter((one) => !sameHead(one, head));
    const next = others.length < opened.length ? others : [...opened, head];
    this.putAway.set((next.length > MOST_OPENED && next.shift()) || null);
    write(this.#model, "opened", next);
  }

  dispose(): void {
    for (const stop of this.#stops) stop();
    this.rpc.dispose();
  }

  /** The last result stays until the next one is here, or there is none. */
  #replace(): void {
    const json = trait<ResultJson | null | undefined>(this.#model, "result") ?? null;
    const busy = ["queued", "running"].includes(trait<string>(this.#model, "status"));
    if (json === this.#json || (json === null && busy)) return;
    this.#json = json;
    const before = this.shown.get().attention;
    this.heads.clear();
    this.kind.set(null);
    this.putAway.set(null);
    this.shown.set(readResult(this.#model));
    const { attention } = this.shown.get();
    if (attention?.json.id !== before?.json.id && this.asked.get()?.problem) this.asked.set(null);
    this.scores.set(this.#readScores());
  }

  #readScores(): Score[] {
    return decodeScores(trait<ScoreJson[]>(this.#model, "scores"), this.shown.get().attention);
  }

  #onEvent(event: KernelEvent): void {
    const { attention } = this.shown.get();
    if (event.event === "heads" && attention) this.heads.take(attention, event);
    if (!OVER.has(event.event)) return;
    if (event.id === this.#request) this.kind.set(null);
    this.heads.over(event);
    const asked = this.asked.get();
    if (!asked || event.id !== asked.id) return;
    const problem = event.event === "error" ? String(event.message ?? "It failed.") : null;
    this.asked.set(problem ? { ...asked, problem } : null);
  }
}

export function sameHead(a: Head, b: Head): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

function readResult(model: ViewModel): Shown {
  const json = trait<ResultJson | null | undefined>(model, "result");
  if (!json) return { attention: null, problem: null };
  try {
    return { attention: decodeResult(json), problem: null };
  } catch (error) {
    return { attention: null, problem: error instanceof Error ? error.message : String(error) };
  }
}

function readThumbs(model: ViewModel): Thumbs | null {
  const json = trait<ThumbsJson | null | undefined>(model, "thumbs");
  if (!json) return null;
  const { result, side, scale, size } = json;
  return { result, side: side as SideName, scale: scale as ScaleName, size, codes: decodeBytes(json.codes) };
}
