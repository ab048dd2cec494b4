// What the functions of hookscope.circuitsvis hand over, one kind of figure for each of them.
import { shortest, withMinus } from "../../lib/format";
import { type ArrayJson, decodeFloats, decodeInts } from "../../lib/ndarray";

/** Exact numbers: float32 as it is, float64 as pairs of int32. */
export type Numbers = Float32Array | Float64Array;

export interface Colors {
  positive: string | null;
  negative: string | null;
}

interface AnyFigure {
  title: string;
  warnings: string[];
}

export interface TokensFigure extends AnyFigure {
  kind: "tokens";
  tokens: string[];
  values: ArrayJson;
  low: number | null;
  high: number | null;
  colors: Colors;
}

export interface ColumnsFigure extends AnyFigure {
  kind: "columns";
  tokens: string[];
  /** [token, column] */
  values: ArrayJson;
  labels: string[];
}

export interface PredictionsFigure extends AnyFigure {
  kind: "predictions";
  /** One more than there are predictions: the first is given. */
  tokens: string[];
  log_probs: ArrayJson;
  ranks: ArrayJson;
  /** [token, k], and where in `strings` they are. */
  top_log_probs: ArrayJson;
  top_tokens: ArrayJson;
  strings: string[];
}

/** Its parts are asked for by first and second index where they are too many. */
interface InParts<Part> extends AnyFigure {
  names: [string, string];
  labels: [string[] | null, string[] | null];
  sizes: [number, number];
  parts: Part[][] | null;
}

export interface SamplesPart {
  /** The values of all samples, end to end. */
  values: ArrayJson;
  tokens?: string[][];
}

export interface SamplesFigure extends InParts<SamplesPart> {
  kind: "samples";
  /** In descending order. */
  ordered: boolean;
  /** null where every part brings its own. */
  tokens: string[][] | null;
  /** The extremes of all activations; null where each part has its own scale. */
  low: number | null;
  high: number | null;
}

export interface TopsPart {
  /** [k, column], and at which token of the sample. */
  top: ArrayJson;
  top_at: ArrayJson;
  bottom: ArrayJson;
  bottom_at: ArrayJson;
}

/** By sample and layer. `names` are of layers and columns, `labels` of samples and layers. */
export interface TopsFigure extends InParts<TopsPart> {
  kind: "tops";
  tokens: string[][];
  /** How many columns each sample has. */
  columns: number[];
  k: number;
}

export type Figure = TokensFigure | ColumnsFigure | PredictionsFigure | SamplesFigure | TopsFigure;

export function decodeNumbers(json: ArrayJson): Numbers {
  return json.dtype === "int32" ? new Float64Array(decodeInts(json).buffer) : decodeFloats(json);
}

/** The shortest decimal that is this number and no other number of its type. */
export function plainNumber(values: Numbers, index: number): string {
  const value = values[index] ?? Number.NaN;
  return values instanceof Float64Array || !Number.isFinite(value) ? String(value) : shortest(value);
}

/** The same number as people write it. */
export function exact(values: Numbers, index: number): string {
  const text = plainNumber(values, index);
  if (text === "NaN") return "no number";
  return withMinus(text.replace("Infinity", "\u221e"));
}

/** A number beside the colour scale, with four digits. */
export function rounded(value: number): string {
  return withMinus(String(Number(value.toPrecision(4))));
}

export interface Extremes {
  low: number;
  high: number;
}

/** The extremes of the finite values; 0 and 0 where no value is finite. */
export function extremesOf(values: Iterable<number>): Extremes {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? { low, high } : { low: 0, high: 0 };
}
