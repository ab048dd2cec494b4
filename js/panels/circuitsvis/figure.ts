// The figures that the functions of hookscope.circuitsvis send, one kind for each function.
import { shortest, withMinus } from "../../lib/format";
import { type ArrayJson, decodeFloats, decodeInts } from "../../lib/ndarray";

/** Exact numbers: float32 as they are, and float64 as pairs of int32. */
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
  /** There is one token more than there are predictions, because the first is given. */
  tokens: string[];
  log_probs: ArrayJson;
  ranks: ArrayJson;
  /** [token, k] indices into `strings`. */
  top_log_probs: ArrayJson;
  top_tokens: ArrayJson;
  strings: string[];
}

/** If there are too many parts to send, they are requested by first and second index. */
interface InParts<Part> extends AnyFigure {
  names: [string, string];
  labels: [string[] | null, string[] | null];
  sizes: [number, number];
  parts: Part[][] | null;
}

export interface SamplesPart {
  /** The values of all samples, concatenated. */
  values: ArrayJson;
  tokens?: string[][];
}

export interface SamplesFigure extends InParts<SamplesPart> {
  kind: "samples";
  /** In descending order. */
  ordered: boolean;
  /** null if every part has its own. */
  tokens: string[][] | null;
  /** The extremes of all activations; null if each part has its own scale. */
  low: number | null;
  high: number | null;
}

export interface TopsPart {
  /** [k, column] values, and the index of each token in the sample. */
  top: ArrayJson;
  top_at: ArrayJson;
  bottom: ArrayJson;
  bottom_at: ArrayJson;
}

/** Parts are indexed by sample and layer. `names` are those of layers and columns, `labels` those of samples and layers. */
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

/** The shortest decimal that identifies this number among all numbers of its type. */
export function plainNumber(values: Numbers, index: number): string {
  const value = values[index] ?? Number.NaN;
  return values instanceof Float64Array || !Number.isFinite(value) ? String(value) : shortest(value);
}

/** The same number for readers, with a true minus sign. */
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

/** The extremes of the finite values; 0 and 0 if no value is finite. */
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
