// The lens's readings as Python sends them and as the view stores them: decoded, and filled window by window if a prompt
// is too long to be sent whole.
import { type ArrayJson, decodeFloats, decodeInts } from "../../lib/ndarray";
import type { Counterparts, Place } from "../../lib/place";
import type { ResultEnvelope } from "../../lib/schema";

export type SideName = "prompt" | "clean" | "corrupt";

/** Arrays [row, position], with a further axis for the k likeliest or the t followed tokens. */
export type ArraysJson = Record<(typeof INTS)[number] | (typeof FLOATS)[number], ArrayJson>;

const INTS = ["top_ids", "target_rank"] as const;
const FLOATS = ["top_logits", "top_probs", "entropy", "kl_to_final", "target_logit", "target_prob"] as const;

type Arrays = Record<(typeof INTS)[number], Int32Array> & Record<(typeof FLOATS)[number], Float32Array>;

export interface PairJson {
  clean_answer?: string | string[];
  corrupt_answer?: string | string[];
}

export interface ResultJson extends ResultEnvelope {
  params: {
    stream: string;
    lens: string;
    targets: string[];
    top_k: number;
    last?: number | null;
    prompt?: string | null;
    pair?: PairJson | null;
  };
  labels: string[];
  /** By row. */
  places: Place[];
  sides: Partial<
    Record<SideName, { text: string; ids: number[]; tokens: string[]; arrays: ArraysJson | null }>
  >;
  /** The corrupt position of each clean position. */
  counterparts: Counterparts;
  targets: { id: number; text: string }[];
  tokens: Record<string, string>;
  warnings?: string[];
  provenance: { model?: { name?: string }; seconds?: number | null; warnings?: string[] };
}

export interface WindowJson {
  side: SideName;
  start: number;
  stop: number;
  arrays: ArraysJson;
  tokens?: Record<string, string>;
}

/** One prompt. A cell is row * positions + position. */
export interface Side extends Arrays {
  name: SideName;
  text: string;
  tokens: string[];
  positions: number;
  /** How many of the likeliest tokens each cell has, and how many tokens are followed. */
  k: number;
  t: number;
  /** 1 for each position whose numbers have arrived. */
  loaded: Uint8Array;
}

export interface Lens {
  json: ResultJson;
  rows: number;
  sides: Partial<Record<SideName, Side>>;
  tokens: Record<string, string>;
}

export function decodeLens(json: ResultJson): Lens {
  const lens: Lens = { json, rows: json.labels.length, sides: {}, tokens: { ...json.tokens } };
  for (const name of ["prompt", "clean", "corrupt"] as const) {
    const side = json.sides[name];
    if (!side) continue;
    const { text, tokens, arrays } = side;
    const { length: positions } = tokens;
    const [k, t] = [arrays?.top_ids.shape[2] ?? json.params.top_k, json.targets.length];
    const loaded = new Uint8Array(positions).fill(arrays ? 1 : 0);
    const all = arrays ? decodeArrays(arrays) : emptyArrays(lens.rows * positions, k, t);
    lens.sides[name] = { name, text, tokens, positions, k, t, loaded, ...all };
  }
  return lens;
}

/** Writes the columns of a window into the arrays. */
export function applyWindow(lens: Lens, { side: name, start, stop, arrays, tokens }: WindowJson): void {
  const side = lens.sides[name];
  if (!side) return;
  const from = decodeArrays(arrays);
  const columns = stop - start;
  for (const part of [...INTS, ...FLOATS]) {
    const [source, target] = [from[part], side[part]];
    const width = target.length / (lens.rows * side.positions);
    for (let row = 0; row < lens.rows; row++) {
      const cells = source.subarray(row * columns * width, (row + 1) * columns * width);
      target.set(cells, (row * side.positions + start) * width);
    }
  }
  side.loaded.fill(1, start, stop);
  Object.assign(lens.tokens, tokens);
}

function decodeArrays(json: ArraysJson): Arrays {
  const arrays: Partial<Arrays> = {};
  for (const name of INTS) arrays[name] = decodeInts(json[name]);
  for (const name of FLOATS) arrays[name] = decodeFloats(json[name]);
  return arrays as Arrays;
}

function emptyArrays(cells: number, k: number, t: number): Arrays {
  const width = (name: string) => (name.startsWith("top") ? k : name.startsWith("target") ? t : 1);
  const arrays: Partial<Arrays> = {};
  for (const name of INTS) arrays[name] = new Int32Array(cells * width(name));
  for (const name of FLOATS) arrays[name] = new Float32Array(cells * width(name));
  return arrays as Arrays;
}
