// The state that all views of one model share: the result, the heads that arrived one by one, the scores, and the pending
// requests.
import { drawnLater } from "../../lib/drawn_later";
import { isBusy, listen, trait, type ViewModel, write } from "../../lib/model";
import { decodeBytes } from "../../lib/ndarray";
import { isEnd, type KernelEvent, Rpc } from "../../lib/rpc";
import { type Decoded, readResult } from "../../lib/schema";
import { Store } from "../../lib/store";
import type { Requests } from "../../wire/requests";
import type { ActionName } from "./head_actions";
import { HeadCache } from "./head_cache";
import { Attention, type Head, type ResultJson, type SideName } from "./result";
import type { ScaleName } from "./scale";
import type { Kind } from "./scene";
import { decodeScores, type Score, type ScoreJson } from "./scores";
import type { Thumbs, ThumbsJson } from "./thumb_codes";

/** A request besides the result itself: about one head, or for the scores of all heads. */
export interface Aside {
  id: string;
  what: ActionName | "scores";
  head: Head | null;
  /** The error, if the request failed. */
  problem: string | null;
}

type OfHead = Pick<Requests, "patch_head" | "attribute_head" | "head_circuits">;

/** The largest number of open heads. */
export const MOST_OPENED = 12;

export class AttentionState {
  readonly rpc: Rpc;
  readonly heads: HeadCache;
  readonly shown: Store<Decoded<Attention>>;
  readonly thumbs: Store<Thumbs | null>;
  readonly scores: Store<Score[]>;
  /** The requested kind, until its result has arrived. */
  readonly kind = new Store<Kind | null>(null);
  readonly aside = new Store<Aside | null>(null);
  /** The head that was closed because too many heads were open. */
  readonly putAway = new Store<Head | null>(null);
  #model: ViewModel;
  #json: ResultJson | null;
  #request = "";
  #stops: (() => void)[];

  constructor(model: ViewModel) {
    this.#model = model;
    this.rpc = new Rpc(model);
    this.heads = new HeadCache(this.rpc);
    this.shown = new Store(readAttention(model));
    this.#json = trait<ResultJson | null | undefined>(model, "result") ?? null;
    this.thumbs = new Store(readThumbs(model));
    this.scores = new Store(this.#readScores());
    this.#stops = [
      listen(
        model,
        "change:result",
        drawnLater(() => this.#replace()),
      ),
      listen(model, "change:status", () => this.#replace()),
      listen(
        model,
        "change:thumbs",
        drawnLater(() => this.thumbs.set(readThumbs(model))),
      ),
      listen(model, "change:scores", () => this.scores.set(this.#readScores())),
      this.rpc.onEvent((event) => this.#onEvent(event)),
    ];
  }

  side(attention: Attention): SideName {
    return attention.sideOf(trait<SideName>(this.#model, "side"));
  }

  run(params: { kind?: Kind } = {}): void {
    if (params.kind) this.kind.set(params.kind);
    const kind = params.kind ?? trait<Kind>(this.#model, "kind");
    this.#request = this.rpc.request("attention_patterns", { kind });
  }

  showPrompt(text: string): void {
    this.rpc.request("show", { text });
  }

  /** Sends a request about one head. The answer arrives in a trait. */
  act<Method extends keyof OfHead>(
    what: ActionName,
    method: Method,
    head: Head,
    params: Omit<OfHead[Method], "layer" | "head">,
  ): void {
    const id = this.rpc.requestNamed(method, { layer: head[0], head: head[1], ...params });
    this.aside.set({ id, what, head, problem: null });
  }

  measureHeads(): void {
    const id = this.rpc.request("head_scores", {});
    this.aside.set({ id, what: "scores", head: null, problem: null });
  }

  /** Opens a head, or closes it if it is open. If too many are open, the first is closed, and the view says so. */
  toggle(head: Head): void {
    const opened = trait<Head[] | undefined>(this.#model, "opened") ?? [];
    const others = opened.filter((other) => !sameHead(other, head));
    const next = others.length < opened.length ? others : [...opened, head];
    this.putAway.set((next.length > MOST_OPENED && next.shift()) || null);
    write(this.#model, "opened", next);
  }

  dispose(): void {
    for (const stop of this.#stops) stop();
    this.rpc.dispose();
  }

  /** The last result stays until the next one has arrived, or until it is clear that none will. */
  #replace(): void {
    const json = trait<ResultJson | null | undefined>(this.#model, "result") ?? null;
    if (json === this.#json || (json === null && isBusy(trait(this.#model, "status")))) return;
    this.#json = json;
    const before = this.shown.get().value;
    this.heads.clear();
    this.kind.set(null);
    this.putAway.set(null);
    this.shown.set(readAttention(this.#model));
    const { value: attention } = this.shown.get();
    if (attention?.json.id !== before?.json.id && this.aside.get()?.problem) this.aside.set(null);
    this.scores.set(this.#readScores());
  }

  #readScores(): Score[] {
    return decodeScores(trait<ScoreJson[]>(this.#model, "scores"), this.shown.get().value);
  }

  #onEvent(event: KernelEvent): void {
    const { value: attention } = this.shown.get();
    if (event.event === "heads" && attention) this.heads.take(attention, event);
    if (!isEnd(event)) return;
    if (event.id === this.#request) this.kind.set(null);
    this.heads.over(event);
    const aside = this.aside.get();
    if (!aside || event.id !== aside.id) return;
    const problem = event.event === "error" ? String(event.message ?? "The request failed.") : null;
    this.aside.set(problem ? { ...aside, problem } : null);
  }
}

export function sameHead(a: Head, b: Head): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

function readAttention(model: ViewModel): Decoded<Attention> {
  return readResult(model, "result", (json: ResultJson) => new Attention(json));
}

function readThumbs(model: ViewModel): Thumbs | null {
  const json = trait<ThumbsJson | null | undefined>(model, "thumbs");
  if (!json) return null;
  const { result, side, scale, without_first: withoutFirst = false, size } = json;
  const shown = { side: side as SideName, scale: scale as ScaleName, withoutFirst };
  return { result, ...shown, size, codes: decodeBytes(json.codes) };
}
