// Attention small enough to reason about, with heads of known kinds. Also drawn by hand-made pages.

import type { ArrayJson } from "../../../js/lib/ndarray";
import type { ResultJson, SideName } from "../../../js/panels/attention_viewer/result";
import type { ScoreJson } from "../../../js/panels/attention_viewer/scores";
import { SCHEMA_VERSION } from "../../../js/wire/requests";

export const TOKENS = [
  "<bos>",
  "The",
  " capital",
  " of",
  " Norway",
  " is",
  " Oslo",
  ".",
  " The",
  " capital",
  " of",
  " Norway",
  " is",
];

/** Tokens of any number: the sentence again and again. */
export function manyTokens(n: number): string[] {
  return Array.from({ length: n }, (_, i) => TOKENS[i === 0 ? 0 : 1 + ((i - 1) % (TOKENS.length - 1))] ?? "");
}

export function idsOf(tokens: readonly string[]): number[] {
  return tokens.map((token) => tokens.indexOf(token));
}

export function floats(shape: number[], data: Float32Array): ArrayJson {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return { dtype: "float32", shape, data: btoa(text) };
}

export function bytes(shape: number[], data: Uint8Array): ArrayJson {
  let text = "";
  for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
  return { dtype: "uint8", shape, data: btoa(text) };
}

/** Kinds of heads: the first token, the previous one, induction, and spread with noise. */
export function headPattern(kind: number, ids: readonly number[], shift = 0): Float32Array {
  const n = ids.length;
  const values = new Float32Array(n * n).fill(Number.POSITIVE_INFINITY);
  for (let row = 0; row < n; row++) {
    const weights = Array.from({ length: row + 1 }, (_, column) => {
      const noise = 0.1 + 0.1 * Math.abs(Math.sin(12.9898 * (row * n + column) + 78.233 * (kind + shift)));
      const stripe = column > 0 && ids[column - 1] === ids[row] && column - 1 < row;
      const chosen = [column === 0, column === row - 1, stripe, column === row][kind % 4];
      return noise + (chosen ? ([6, 9, 12, 1][kind % 4] ?? 0) : column === 0 ? 0.6 : 0);
    });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    weights.forEach((weight, column) => {
      values[row * n + column] = weight / total;
    });
  }
  return values;
}

export interface Shape {
  layers?: number;
  heads?: number;
  tokens?: string[];
}

/** All heads' values; in the corrupt side they are shifted. */
export function allValues({ layers = 2, heads = 3, tokens = TOKENS }: Shape, shift = 0): Float32Array {
  const ids = idsOf(tokens);
  const cells = ids.length ** 2;
  const all = new Float32Array(layers * heads * cells);
  for (let head = 0; head < layers * heads; head++) {
    const kind = (head * 7 + Math.floor(head / heads)) % 4;
    all.set(headPattern(kind, ids, head + shift), head * cells);
  }
  return all;
}

export function makeAttention(shape: Shape = {}, change: Partial<ResultJson> = {}): ResultJson {
  const { layers = 2, heads = 3, tokens = TOKENS } = shape;
  const whole = change.whole ?? true;
  const size = [layers, heads, tokens.length, tokens.length];
  return {
    schema_version: 1,
    method: "attention_patterns",
    id: "attention-1",
    params: { kind: "pattern", prompt: tokens.slice(1).join(""), pair: null },
    layers: Array.from({ length: layers }, (_, i) => i),
    heads: Array.from({ length: heads }, (_, i) => i),
    names: null,
    key_value_heads: null,
    sides: { prompt: { text: tokens.slice(1).join(""), ids: idsOf(tokens), tokens } },
    counterparts: null,
    quantity: "attention",
    signed: false,
    high: { prompt: 1 },
    low: {},
    colors: { positive: null, negative: null },
    axis_labels: true,
    warnings: [],
    provenance: { seconds: 0.2 },
    whole,
    values: whole ? { prompt: floats(size, allValues(shape)) } : {},
    ...change,
  };
}

/** Clean and corrupt, which differ in one token, and their difference. */
export function makePairAttention(change: Partial<ResultJson> = {}): ResultJson {
  const tokens = TOKENS.slice(0, 6);
  const corrupt = tokens.map((token) => (token === " Norway" ? " Sweden" : token));
  const shape = { layers: 2, heads: 3, tokens };
  const [a, b] = [allValues(shape), allValues(shape, 5)];
  const size = [2, 3, tokens.length, tokens.length];
  const difference = a.map((value, i) => (Number.isFinite(value) ? value - (b[i] ?? 0) : value));
  const side = (list: string[]) => ({ text: list.slice(1).join(""), ids: idsOf(list), tokens: list });
  return makeAttention(shape, {
    sides: { clean: side(tokens), corrupt: side(corrupt) },
    high: { clean: 1, corrupt: 1, difference: 0.5 },
    values: { clean: floats(size, a), corrupt: floats(size, b), difference: floats(size, difference) },
    ...change,
  });
}

export function makeScore(name: string, values: number[], change: Partial<ScoreJson> = {}): ScoreJson {
  return {
    name,
    label: name.replaceAll("_", " "),
    help: `how much of a ${name.replaceAll("_", " ")} head it is`,
    on: "prompt",
    descending: true,
    values: floats([values.length], Float32Array.from(values)),
    spread: null,
    ...change,
  };
}

export const INFO = {
  model: { name: "hookscope-tiny" },
  kinds: [
    { name: "pattern", label: "pattern", help: "where each head looks", reason: null },
    {
      name: "value_weighted",
      label: "value-weighted",
      help: "times the size of what it moves",
      reason: null,
    },
    { name: "scores", label: "scores", help: "before the softmax", reason: null },
    { name: "output_norm", label: "output norm", help: "", reason: "this model has no such hook" },
  ],
  scales: [
    { name: "linear", label: "linear", help: "one scale for all heads" },
    { name: "log", label: "log", help: "four decades" },
    { name: "row", label: "by row", help: "each row by its largest" },
  ],
  marks: [
    { name: "induction", label: "induction", help: "what came after the same token" },
    { name: "previous", label: "previous token", help: "the token before" },
    { name: "duplicate", label: "duplicate token", help: "the same token" },
  ],
  actions: {
    patch: [
      { name: "z", label: "z", help: "what the head writes", reason: null },
      { name: "pattern", label: "pattern", help: "where it looks", reason: null },
    ],
    patch_reason: null,
    attribution_reason: null,
    circuits_reason: null,
  },
};

export function viewerTraits(change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    schema: SCHEMA_VERSION,
    info: INFO,
    pair: null,
    prompt: "The capital of Norway is Oslo. The capital of Norway is",
    kind: "pattern",
    side: "prompt",
    scale: "linear",
    sort: "layer",
    shown_layers: null,
    marks: [],
    opened: [],
    selection: null,
    layer_zero: "bottom",
    result: makeAttention(),
    thumbs: null,
    scores: [
      makeScore("induction", [0.02, 0.91, 0.3, 0.05, 0.04, Number.NaN]),
      makeScore("previous_token", [0.5, 0.01, 0.02, 0.03, 0.93, 0.1]),
    ],
    head_patch: null,
    head_attribution: null,
    head_circuits: null,
    status: "done",
    progress: { done: 1, total: 1, seconds_left: 0 },
    error: null,
    code: "import interp_backend as ib",
    ...change,
  };
}

export const pairTraits = (change: Record<string, unknown> = {}) =>
  viewerTraits({
    pair: { clean: "The capital of Norway is", corrupt: "The capital of Sweden is" },
    prompt: null,
    side: "clean",
    result: makePairAttention(),
    ...change,
  });

export type { SideName };
