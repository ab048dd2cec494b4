// Figures small enough to reason about, one of each kind.

import type {
  ColumnsFigure,
  Figure,
  PredictionsFigure,
  SamplesFigure,
  TokensFigure,
  TopsFigure,
} from "../../../js/panels/circuitsvis/figure";
import { SCHEMA_VERSION } from "../../../js/wire/requests";
import { arrayJson } from "../helpers";

export const HOSTILE = " <img src=x onerror=alert(1)>";
export const TOKENS = ["The", " capital", " of", HOSTILE, "\n"];

export const floats = (shape: number[], data: number[]) => arrayJson("float32", shape, data);

/** As Python sends what float32 would round. */
export function doubles(data: number[]) {
  return arrayJson("int32", [data.length * 2], [...new Int32Array(new Float64Array(data).buffer)]);
}

export const tokensFigure = (change: Partial<TokensFigure> = {}): TokensFigure => ({
  kind: "tokens",
  title: "Token values",
  warnings: [],
  tokens: TOKENS,
  values: floats([5], [0.1, 2, -1, 0, Number.NaN]),
  low: null,
  high: null,
  colors: { positive: null, negative: null },
  ...change,
});

export const columnsFigure = (change: Partial<ColumnsFigure> = {}): ColumnsFigure => ({
  kind: "columns",
  title: "Model performance",
  warnings: [],
  tokens: [" a", " b"],
  values: floats([2, 3], [3, -0.5, 0.25, -4, -2, 0.125]),
  labels: ["logits", "log_probs", "probs"],
  ...change,
});

export const predictionsFigure = (change: Partial<PredictionsFigure> = {}): PredictionsFigure => ({
  kind: "predictions",
  title: "Log probabilities",
  warnings: [],
  tokens: ["<bos>", " Oslo", " is"],
  log_probs: floats([2], [-0.5, Number.NEGATIVE_INFINITY]),
  ranks: arrayJson("int32", [2], [1, 3]),
  top_log_probs: floats([2, 2], [-0.25, -0.5, -0.125, -6]),
  top_tokens: arrayJson("int32", [2, 2], [0, 1, 1, 2]),
  strings: [" Paris", " Oslo", HOSTILE],
  ...change,
});

/** Value 100 · layer + 10 · neuron + token, over samples of 2, 3, 1, 1, 1, 1 and 0 tokens. */
export function samplesFigure(change: Partial<SamplesFigure> = {}): SamplesFigure {
  const tokens = [["a", "b"], ["c", "d", "e"], ["f"], ["g"], ["h"], ["i"], []];
  const part = (layer: number, neuron: number) => ({
    values: floats(
      [9],
      Array.from({ length: 9 }, (_, token) => 100 * layer + 10 * neuron + token),
    ),
  });
  return {
    kind: "samples",
    title: "Activations by token",
    warnings: [],
    names: ["Layer", "Neuron"],
    labels: [["embed", "0"], null],
    sizes: [2, 3],
    ordered: false,
    tokens,
    parts: [0, 1].map((layer) => [0, 1, 2].map((neuron) => part(layer, neuron))),
    low: 0,
    high: 128,
    ...change,
  };
}

/** Two samples of 3 and 2 columns; value 10 · k-th + column, and negative at the bottom. */
export function topsFigure(change: Partial<TopsFigure> = {}): TopsFigure {
  const part = (k: number, columns: number) => {
    const at = (sign: number) =>
      Array.from({ length: k * columns }, (_, i) => {
        const [row, column] = [Math.floor(i / columns), i % columns];
        return sign > 0 ? 10 * (k - row) + column : -10 * (row + 1) - column;
      });
    const rows = (first: number, by: number) =>
      Array.from({ length: k * columns }, (_, i) => first + by * Math.floor(i / columns));
    return {
      top: floats([k, columns], at(1)),
      top_at: arrayJson("int32", [k, columns], rows(0, 1)),
      bottom: floats([k, columns], at(-1)),
      bottom_at: arrayJson("int32", [k, columns], rows(0, 1)),
    };
  };
  return {
    kind: "tops",
    title: "Top and bottom tokens",
    warnings: [],
    names: ["Layer", "Direction"],
    labels: [["first", "second"], null],
    sizes: [2, 1],
    tokens: [
      [" a", " b", HOSTILE],
      ["x", "y"],
    ],
    columns: [7, 2],
    k: 3,
    parts: [[part(3, 7)], [part(2, 2)]],
    ...change,
  };
}

export const traits = (figure: Figure, change: object = {}) => ({
  schema: SCHEMA_VERSION,
  figure,
  chosen: {},
  selection: null,
  error: null,
  info: {},
  ...change,
});
