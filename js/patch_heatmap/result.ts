// The result of a sweep as it crosses from Python, and as the view holds it: decoded, and filled cell by cell.
import { type ArrayJson, decodeBytes, decodeFloats, decodeInts, sizeOf } from "../lib/ndarray";
import { decodeTop, type TopArrays, type TopJson } from "../lib/top_arrays";

export type Axis = "layer" | "head" | "position";
export type Direction = "denoise" | "noise";
export type Run = "clean" | "corrupt";

export interface ResultJson {
  schema_version: number;
  sweep: string;
  params: { activation: string; axes: Axis[]; direction: Direction; metric: string };
  axes: Axis[];
  labels: Record<string, string[]>;
  values: ArrayJson;
  normalized: ArrayJson;
  state: ArrayJson;
  baselines: Record<Run, number | null>;
  prompts: Record<Run, { text: string; ids: number[]; tokens: string[]; answer: string }>;
  top: TopJson | null;
  top_runs: Record<Run, TopJson> | Record<string, never>;
  tokens: Record<string, string>;
  provenance: { complete?: boolean; seconds?: number | null; warnings?: string[] };
}

export interface PartialJson {
  sweep: string;
  cells: ArrayJson;
  values: ArrayJson;
  normalized: ArrayJson;
  top: TopJson | null;
  tokens?: Record<string, string>;
}

export const EMPTY = 0;
export const COMPUTED = 1;
export const EQUAL = 2;

export interface Sweep {
  json: ResultJson;
  axes: Axis[];
  shape: number[];
  values: Float32Array;
  normalized: Float32Array;
  state: Uint8Array;
  top: TopArrays | null;
  topRuns: Partial<Record<Run, TopArrays>>;
  tokens: Record<string, string>;
}

const SCHEMA = 1;

export function decodeResult(json: ResultJson): Sweep {
  if (json.schema_version !== SCHEMA) {
    throw new Error(
      `This result has format ${json.schema_version}, and this version of Hookscope reads format ${SCHEMA}.` +
        " Open it with the version that made it, or run it again.",
    );
  }
  return {
    json,
    axes: json.axes,
    shape: json.values.shape,
    values: decodeFloats(json.values),
    normalized: decodeFloats(json.normalized),
    state: decodeBytes(json.state),
    top: json.top && decodeTop(json.top),
    topRuns: Object.fromEntries(Object.entries(json.top_runs).map(([run, top]) => [run, decodeTop(top)])),
    tokens: { ...json.tokens },
  };
}

/** Puts the cells of a partial event in their places. */
export function applyPartial(sweep: Sweep, partial: PartialJson): void {
  const cells = decodeInts(partial.cells);
  const values = decodeFloats(partial.values);
  const normalized = decodeFloats(partial.normalized);
  const top = partial.top && decodeTop(partial.top);
  if (top) sweep.top ??= emptyTop(sizeOf(sweep.shape), top.k);
  cells.forEach((cell, i) => {
    if (cell < 0 || cell >= sweep.state.length) return;
    sweep.values[cell] = values[i] ?? Number.NaN;
    sweep.normalized[cell] = normalized[i] ?? Number.NaN;
    sweep.state[cell] = COMPUTED;
    if (top && sweep.top) copyTop(top, i, sweep.top, cell);
  });
  Object.assign(sweep.tokens, partial.tokens);
}

function emptyTop(cells: number, k: number): TopArrays {
  const size = cells * k;
  return {
    k,
    ids: new Int32Array(size),
    logits: new Float32Array(size).fill(Number.NaN),
    probs: new Float32Array(size).fill(Number.NaN),
  };
}

function copyTop(from: TopArrays, i: number, to: TopArrays, cell: number): void {
  const k = Math.min(from.k, to.k);
  for (const part of ["ids", "logits", "probs"] as const) {
    to[part].set(from[part].subarray(i * from.k, i * from.k + k), cell * to.k);
  }
}
