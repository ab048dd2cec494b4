// A sweep's result as Python sends it, and as the view stores it: decoded, and filled cell by cell.
import { type ArrayJson, decodeBytes, decodeFloats, decodeInts, sizeOf } from "../../lib/ndarray";
import type { ResultEnvelope } from "../../lib/schema";
import { decodeTop, type TopArrays, type TopJson } from "../../lib/top_tokens";
import type { ActivationPatchingRequest } from "../../wire/requests";
import { NOT_COMPUTED } from "../../wire/requests";
import type { Value } from "./params";

export type Axis = NonNullable<ActivationPatchingRequest["axes"]>[number];
export type Direction = NonNullable<ActivationPatchingRequest["direction"]>;
export type Run = "clean" | "corrupt";
type Baselines = Record<Run, number | null>;

interface PairsJson {
  labels: string[];
  normalized: ArrayJson;
  low: ArrayJson;
  high: ArrayJson;
  agree: ArrayJson;
  known?: ArrayJson;
  done: number;
}

/** How well estimates agree with the exact effects, as Python's `Agreement`. */
export interface Agreement {
  cells: number;
  pearson: number | null;
  spearman: number | null;
  k: number;
  precision: number | null;
  recall: number | null;
}

interface MeasureJson {
  label: string;
  values: ArrayJson;
  normalized?: ArrayJson;
  normalized_estimates?: ArrayJson | null;
  agreement?: Agreement | null;
  baselines: Baselines;
  pairs?: PairsJson | null;
  scale_text?: string;
  warnings?: string[];
}

/** One of the two maps of a difference. */
interface TermJson {
  name: string;
  effects: ArrayJson;
  values: ArrayJson;
  metric_label: string;
  params?: { pair?: unknown };
}

interface PromptJson {
  text: string;
  ids: number[];
  tokens: string[];
  /** The first of `answers`. */
  answer: string | null;
  answers?: string[];
}

export interface ResultJson extends ResultEnvelope {
  params: {
    activation: string;
    axes: Axis[];
    direction: Direction;
    metric: string;
    value?: Value;
    window?: number;
    at?: number | null;
    /** The rule by which effects were estimated first, and the share of the estimated cells that was to be run. */
    estimate?: string;
    exact?: number;
  };
  axes: Axis[];
  labels: Record<string, string[]>;
  /** The meaning of each index of an axis: its number in the model, or the positions of a named set. */
  places?: Record<string, (number | number[])[]>;
  /** For each position of the patched prompt, its counterpart in the other prompt; null if all are the same. */
  counterparts?: (number | null)[] | null;
  values: ArrayJson;
  normalized: ArrayJson;
  normalized_estimates?: ArrayJson | null;
  agreement?: Agreement | null;
  state: ArrayJson;
  /** How many of a cell's positions have no counterpart in the other prompt. */
  unpatched?: ArrayJson | null;
  baselines: Baselines;
  measures?: Record<string, MeasureJson>;
  pairs?: PairsJson | null;
  scale_text?: string;
  metric_label?: string;
  /** Of a difference: the first map minus the second. */
  terms?: [TermJson, TermJson] | null;
  headline?: string;
  prompts: Record<Run, PromptJson>;
  top: TopJson | null;
  top_runs: Record<Run, TopJson> | Record<string, never>;
  tokens: Record<string, string>;
  provenance: {
    model?: { name?: string };
    complete?: boolean;
    seconds?: number | null;
    warnings?: string[];
    executor?: "packed" | "hooks";
    executor_reason?: string | null;
  };
}

export interface PartialJson {
  cells: ArrayJson;
  values: ArrayJson;
  normalized: ArrayJson;
  state: ArrayJson;
  agreement: Agreement | null;
  top: TopJson | null;
  tokens?: Record<string, string>;
}

/** The effects in each pair of a data set; `normalized` is pair by cell. */
export interface Pairs {
  labels: string[];
  done: number;
  normalized: Float32Array;
  /** For each cell, how many pairs agree with its sign, and how many have such a cell. */
  agree: Int32Array;
  known: Int32Array | null;
}

/** One of the two maps of a difference, in the few words that tell it from the other. */
export interface Term {
  name: string;
  metric: string;
  effects: Float32Array;
  values: Float32Array;
}

export interface Sweep {
  json: ResultJson;
  axes: Axis[];
  shape: number[];
  values: Float32Array;
  normalized: Float32Array;
  state: Uint8Array;
  /** Estimated effects of all cells, those that were run as well; null if there are none. */
  estimates: Float32Array | null;
  agreement: Agreement | null;
  unpatched: Int32Array | null;
  /** The interval of a mean over pairs. */
  low: Float32Array | null;
  high: Float32Array | null;
  pairs: Pairs | null;
  top: TopArrays | null;
  topRuns: Partial<Record<Run, TopArrays>>;
  tokens: Record<string, string>;
  /** Of a difference: the first map minus the second. */
  terms: [Term, Term] | null;
}

export function decodeResult(json: ResultJson): Sweep {
  const pairs = json.pairs ?? null;
  return {
    json,
    axes: json.axes,
    shape: json.values.shape,
    values: decodeFloats(json.values),
    normalized: decodeFloats(json.normalized),
    state: decodeBytes(json.state),
    estimates: json.normalized_estimates ? decodeFloats(json.normalized_estimates) : null,
    agreement: json.agreement ?? null,
    unpatched: json.unpatched ? decodeInts(json.unpatched) : null,
    low: pairs && decodeFloats(pairs.low),
    high: pairs && decodeFloats(pairs.high),
    pairs: pairs && {
      labels: pairs.labels,
      done: pairs.done,
      normalized: decodeFloats(pairs.normalized),
      agree: decodeInts(pairs.agree),
      known: pairs.known ? decodeInts(pairs.known) : null,
    },
    top: json.top && decodeTop(json.top),
    topRuns: Object.fromEntries(Object.entries(json.top_runs).map(([run, top]) => [run, decodeTop(top)])),
    tokens: { ...json.tokens },
    terms: json.terms ? [decodeTerm(json.terms[0]), decodeTerm(json.terms[1])] : null,
  };
}

function decodeTerm({ name, effects, values, metric_label }: TermJson): Term {
  return { name, metric: metric_label, effects: decodeFloats(effects), values: decodeFloats(values) };
}

/** Writes the cells of a partial event into the arrays. */
export function applyPartial(sweep: Sweep, partial: PartialJson): void {
  const cells = decodeInts(partial.cells);
  const top = partial.top && decodeTop(partial.top);
  if (top) sweep.top ??= emptyTop(sizeOf(sweep.shape), top.k);
  const [values, normalized] = [decodeFloats(partial.values), decodeFloats(partial.normalized)];
  const states = decodeBytes(partial.state);
  sweep.agreement = partial.agreement;
  cells.forEach((cell, i) => {
    if (cell < 0 || cell >= sweep.state.length) return;
    sweep.state[cell] = states[i] ?? NOT_COMPUTED;
    sweep.values[cell] = values[i] ?? Number.NaN;
    sweep.normalized[cell] = normalized[i] ?? Number.NaN;
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

/** The metrics that a result can show. */
export function measuresOf(json: ResultJson | undefined): [name: string, label: string][] {
  const measures = Object.entries(json?.measures ?? {});
  return measures.filter(([, { normalized }]) => normalized).map(([name, { label }]) => [name, label]);
}

/** The result with `metric` as the displayed metric. */
export function ofMeasure(json: ResultJson, metric: string): ResultJson {
  const { measures = {}, params, provenance } = json;
  const chosen = measures[metric];
  if (!chosen?.normalized) return json;
  const own = measures[params.metric]?.warnings ?? [];
  const others = (provenance.warnings ?? []).filter((warning) => !own.includes(warning));
  const warnings = [...others, ...(chosen.warnings ?? [])];
  // A measure has the same fields as the result has for its displayed metric.
  return { ...json, ...chosen, params: { ...params, metric }, provenance: { ...provenance, warnings } };
}
