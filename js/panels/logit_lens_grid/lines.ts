// The pinned cell's tokens across all layers: from Python's answer, and until it arrives from the lists of likeliest
// tokens, as far as they go.
import { type ArrayJson, decodeFloats, decodeInts } from "../../lib/ndarray";
import { range } from "../../lib/range";
import type { KernelEvent, Rpc } from "../../lib/rpc";
import { Store } from "../../lib/store";
import type { Tone } from "../../lib/top_tokens";
import type { Lens, Side, SideName } from "./result";
import { answerTone, readAt, type Shown, tokenText } from "./sides";

export type Quantity = "probability" | "logit" | "rank";

/** One token's values by row; NaN if they are not known. */
export interface Line {
  key: string;
  id: number;
  token: string;
  side: SideName;
  tone: Tone | null;
  values: Record<Quantity, Float32Array>;
}

interface Answer {
  ids: number[];
  probability: Float32Array;
  logit: Float32Array;
  rank: Float32Array;
}

interface Wanted {
  result: string;
  side: SideName;
  position: number;
  ids: number[];
}

interface TrajectoryJson {
  side: SideName;
  position: number;
  ids: number[];
  logits: ArrayJson;
  probs: ArrayJson;
  ranks: ArrayJson;
}

const DEBOUNCE = 80;
/** How many answers are cached, so that returning to a cell sends no request. */
const KEPT = 64;
const TOP = 3;

export class Lines {
  /** Changes whenever an answer arrives. */
  readonly revision = new Store(0);
  #rpc: Rpc;
  #answers = new Map<string, Answer>();
  #queue: Wanted[] = [];
  #request = "";
  #asked: Wanted | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(rpc: Rpc) {
    this.#rpc = rpc;
    rpc.onEvent((event) => event.event === "trajectory" && this.#take(event));
  }

  /** Requests the pinned cell's values once it has stayed pinned for a moment. */
  want(lens: Lens, shown: Shown, row: number, position: number): void {
    clearTimeout(this.#timer);
    const ids = idsOf(lens, shown, row, position);
    const wanted = readAt(shown, position).map(({ side, position: at }) => {
      return { result: lens.json.id, side: side.name, position: at, ids };
    });
    const asked = this.#request !== "" && this.#asked ? keyOf(this.#asked) : "";
    this.#queue = wanted.filter((request) => {
      return ids.length > 0 && keyOf(request) !== asked && !this.#answers.has(keyOf(request));
    });
    // The next request is sent when the current one ends.
    if (this.#queue.length > 0 && asked === "") this.#timer = setTimeout(() => this.#next(), DEBOUNCE);
  }

  answerFor(wanted: Wanted): Answer | null {
    return this.#answers.get(keyOf(wanted)) ?? null;
  }

  over(event: KernelEvent): void {
    if (event.id !== this.#request) return;
    this.#request = "";
    this.#next();
  }

  clear(): void {
    this.#answers.clear();
    this.dispose();
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
    this.#request = "";
  }

  #next(): void {
    this.#asked = this.#queue.shift() ?? null;
    if (this.#asked) this.#request = this.#rpc.request("trajectory", { ...this.#asked });
  }

  #take(event: KernelEvent): void {
    if (event.id !== this.#request || !this.#asked) return;
    const { ids, logits, probs, ranks } = event as unknown as TrajectoryJson;
    const answer = {
      ids,
      probability: decodeFloats(probs),
      logit: decodeFloats(logits),
      rank: Float32Array.from(decodeInts(ranks)),
    };
    if (this.#answers.size >= KEPT) this.#answers.clear();
    this.#answers.set(keyOf(this.#asked), answer);
    this.revision.set(this.revision.get() + 1);
  }
}

const keyOf = ({ side, position, ids }: Wanted): string => `${side} ${position} ${ids.join()}`;

/** The followed tokens, and the cell's three likeliest; in a difference, the likeliest of each side. */
export function idsOf({ json }: Lens, shown: Shown, row: number, position: number): number[] {
  const ids: number[] = [];
  const top = shown.second ? 1 : TOP;
  for (const { side, position: at } of readAt(shown, position)) {
    if (!side.loaded[at]) continue;
    const first = (row * side.positions + at) * side.k;
    ids.push(...side.top_ids.subarray(first, first + Math.min(top, side.k)));
  }
  return [...new Set([...ids, ...json.targets.map(({ id }) => id)])];
}

export function linesOf(lines: Lines, lens: Lens, shown: Shown, row: number, position: number): Line[] {
  const ids = idsOf(lens, shown, row, position);
  return readAt(shown, position).flatMap(({ side, position: at }) => {
    const answer = lines.answerFor({ result: lens.json.id, side: side.name, position: at, ids });
    return ids.map((id) => {
      const token = tokenText(lens, id);
      const i = answer ? answer.ids.indexOf(id) : -1;
      const values = answer && i >= 0 ? answered(answer, i, lens.rows) : known(lens, side, at, id);
      // In a difference, lines have the colours of the sides; otherwise those of the answers.
      const tone = shown.second ? (side.name as Tone) : answerTone(lens.json, token);
      return { key: `${side.name} ${id}`, id, token, side: side.name, tone, values };
    });
  });
}

function answered(answer: Answer, i: number, rows: number): Line["values"] {
  const column = (values: Float32Array) =>
    Float32Array.from({ length: rows }, (_, row) => values[row * answer.ids.length + i] ?? Number.NaN);
  return {
    probability: column(answer.probability),
    logit: column(answer.logit),
    rank: column(answer.rank),
  };
}

/** A token's values in the result's arrays; a row may lack it among its likeliest tokens. */
function known(lens: Lens, side: Side, position: number, id: number): Line["values"] {
  const { k, t } = side;
  const target = lens.json.targets.findIndex((token) => token.id === id);
  const empty = () => new Float32Array(lens.rows).fill(Number.NaN);
  const values = { probability: empty(), logit: empty(), rank: empty() };
  for (const row of range(lens.rows)) {
    const cell = row * side.positions + position;
    const rank = side.top_ids.subarray(cell * k, (cell + 1) * k).indexOf(id);
    if (!side.loaded[position]) continue;
    const put = (probability = Number.NaN, logit = Number.NaN, at = Number.NaN) => {
      values.probability[row] = probability;
      values.logit[row] = logit;
      values.rank[row] = at;
    };
    if (target >= 0 && t > 0) {
      const at = cell * t + target;
      put(side.target_prob[at], side.target_logit[at], side.target_rank[at]);
    } else if (rank >= 0) put(side.top_probs[cell * k + rank], side.top_logits[cell * k + rank], rank);
  }
  return values;
}
