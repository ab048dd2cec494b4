// Logit lenses small enough to reason about. Never square, so that a transposition shows.
import type { Place } from "../../js/lib/place";
import type { AttributionJson } from "../../js/panels/logit_lens_grid/attribution";
import type { ArraysJson, ResultJson, SideName } from "../../js/panels/logit_lens_grid/result";
import { SCHEMA_VERSION } from "../../js/wire/requests";
import { arrayJson, CLEAN, CORRUPT, PAIR } from "./helpers";

/** 4 rows by as many positions as there are tokens. */
export const LABELS = ["emb", "0", "1", "2 out"];
export const TOP_K = 3;
export const OSLO = { id: 7, text: " Oslo" };
export const STOCKHOLM = { id: 8, text: " Stockholm" };
export const TOKENS: Record<string, string> = {
  ...Object.fromEntries([" the", " of", "\n", " is", " capital", "<script>"].map((text, id) => [id, text])),
  [OSLO.id]: OSLO.text,
  [STOCKHOLM.id]: STOCKHOLM.text,
};

interface Shape {
  rows: number;
  /** Which positions: a window has some of them. */
  start: number;
  stop: number;
  k: number;
  t: number;
  /** Makes two prompts differ. */
  shift: number;
}

/** Cell [row, position] has probability row / 10 + position / 100, entropy 3 - row, KL of the rows left to come. Its
 *  likeliest tokens are row + position + shift and the next ones, modulo 6. */
export function makeArrays({ rows, start, stop, k, t, shift }: Shape): ArraysJson {
  const shape = [rows, stop - start];
  const fill = (
    dtype: "float32" | "int32",
    width: number | null,
    value: (row: number, at: number, i: number) => number,
  ) => {
    const data: number[] = [];
    for (let row = 0; row < rows; row++) {
      for (let at = start; at < stop; at++)
        for (let i = 0; i < (width ?? 1); i++) data.push(value(row, at, i));
    }
    return arrayJson(dtype, width === null ? shape : [...shape, width], data);
  };
  return {
    top_ids: fill("int32", k, (row, at, i) => (row + at + shift + i) % 6),
    top_logits: fill("float32", k, (row, _, i) => 10 + row - i),
    top_probs: fill("float32", k, (row, at, i) => (row / 10 + at / 100 + shift / 50) / (i + 1)),
    entropy: fill("float32", null, (row) => 3 - row / 2 + shift / 4),
    kl_to_final: fill("float32", null, (row) => rows - 1 - row),
    target_logit: fill("float32", t, (row, _, i) => row - i),
    target_prob: fill("float32", t, (row, at, i) => (row + 1) / (i + 1) / (10 + at)),
    target_rank: fill("int32", t, (row, _, i) => 10 ** (rows - 1 - row) - 1 + i),
  };
}

function makeSide(tokens: string[], shape: Partial<Shape>, whole = true) {
  const arrays = makeArrays({
    rows: LABELS.length,
    start: 0,
    stop: tokens.length,
    k: TOP_K,
    t: 0,
    shift: 0,
    ...shape,
  });
  return {
    text: tokens.join("").replace("<bos>", ""),
    ids: tokens.map((_, i) => i),
    tokens,
    arrays: whole ? arrays : null,
  };
}

/** Where a cell of a lens of one prompt is. */
export function placeAt(row: number, position: number): Place {
  return { ...makeLens().places[row], position };
}

export function makeLens(change: Partial<ResultJson> = {}): ResultJson {
  const targets = change.targets ?? [];
  const { length: t } = targets;
  return {
    schema_version: 1,
    method: "logit_lens",
    id: "lens-1",
    params: {
      stream: "resid_post",
      lens: "logit",
      targets: targets.map(({ text }) => text),
      top_k: TOP_K,
      prompt: "The capital of Norway is",
      pair: null,
    },
    labels: LABELS,
    places: [
      { activation: "resid_pre", layer: 0 },
      ...[0, 1, 2].map((layer) => ({ activation: "resid_post", layer })),
    ],
    sides: { prompt: makeSide(CLEAN, { t }) },
    counterparts: null,
    targets,
    tokens: TOKENS,
    warnings: [],
    provenance: { seconds: 0.2 },
    complete: true,
    ...change,
  };
}

/** Clean and corrupt tops differ in every cell. */
export function makeLensPair(change: Partial<ResultJson> = {}): ResultJson {
  const targets = change.targets ?? [OSLO, STOCKHOLM];
  const { length: t } = targets;
  const base = makeLens({ targets });
  return {
    ...base,
    params: { ...base.params, prompt: null, pair: PAIR },
    sides: { clean: makeSide(CLEAN, { t }), corrupt: makeSide(CORRUPT, { t, shift: 1 }) },
    ...change,
  };
}

/** The corrupt prompt has one token more, and clean position 2 has no counterpart. */
export function makeUnequalLens(): ResultJson {
  const corrupt = [...CORRUPT.slice(0, 3), " now", ...CORRUPT.slice(3)];
  const pair = makeLensPair();
  const sides = { ...pair.sides, corrupt: makeSide(corrupt, { t: 2, shift: 1 }) };
  return { ...pair, sides, counterparts: [0, 1, null, 4, 5, 6] };
}

/** In 4 rows more cells than are put into the document. */
export const LONG = 1200;

/** Too long to be sent as a whole. */
export function makeLongLens(): ResultJson {
  const tokens = Array.from({ length: LONG }, (_, i) => ` w${i}`);
  return makeLens({ sides: { prompt: makeSide(tokens, {}, false) } });
}

export function makeWindow(side: SideName, start: number, stop: number) {
  const arrays = makeArrays({ rows: LABELS.length, start, stop, k: TOP_K, t: 0, shift: 0 });
  return { side, start, stop, arrays, tokens: TOKENS };
}

/** 2 layers of 3 heads with a bias and an MLP each: embed, then layer by layer, then the last bias. Component i of
 *  the clean prompt writes i - 4; the corrupt one half of it. */
export function makeAttribution(change: Partial<AttributionJson> = {}): AttributionJson {
  const kinds = ["embed", "pos_embed", "attn", "head", "attn_bias", "mlp", "neuron", "bias"];
  const parts: [string, number, number, string][] = [["embed", -1, -1, "embed"]];
  for (const layer of [0, 1]) {
    for (const head of [0, 1, 2]) parts.push(["head", layer, head, `head ${layer}.${head}`]);
    parts.push(["mlp", layer, -1, `mlp ${layer}`]);
  }
  parts.push(["bias", -1, -1, "bias"]);
  const n = parts.length;
  const ints = (i: 1 | 2) =>
    arrayJson(
      "int32",
      [n],
      parts.map((part) => part[i]),
    );
  const side = (tokens: string[], factor: number) => {
    const values = parts.map((_, i) => (i - 4) * factor);
    const bySource = Array.from({ length: 2 * 3 * tokens.length }, (_, i) => (i % 5) * factor);
    return {
      text: tokens.slice(1).join(""),
      ids: tokens.map((_, i) => i),
      tokens,
      position: tokens.length - 1,
      values: arrayJson("float32", [n], values),
      total: values.reduce((sum, value) => sum + value, 0),
      by_source: arrayJson("float32", [2, 3, tokens.length], bySource),
    };
  };
  return {
    schema_version: 1,
    method: "direct_logit_attribution",
    id: "attribution-1",
    params: { unit: "head", position: 5, answer: " Oslo", wrong_answer: " Stockholm" },
    kinds,
    kind: arrayJson(
      "int32",
      [n],
      parts.map(([kind]) => kinds.indexOf(kind)),
    ),
    layer: ints(1),
    index: ints(2),
    labels: parts.map((part) => part[3]),
    places: parts.map(([kind, layer, index]) => {
      if (kind === "head") return { activation: "z", layer, head: index };
      return kind === "mlp"
        ? { activation: "mlp_out", layer }
        : kind === "embed"
          ? { activation: "embed" }
          : {};
    }),
    sides: { clean: side(CLEAN, 1), corrupt: side(CORRUPT, 0.5) },
    counterparts: null,
    quantity: "logit difference",
    note: "",
    warnings: [],
    provenance: {},
    ...change,
  };
}

const entry = (name: string, reason: string | null = null) => ({
  name,
  label: name.replace("kl", "KL to the end"),
  help: "",
  reason,
});

export function lensTraits(change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    schema: SCHEMA_VERSION,
    info: {
      model: "hookscope-tiny",
      streams: ["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"].map((name) => entry(name)),
      lenses: [entry("logit"), entry("tuned", "no tuned lens for this model")],
      colors: ["probability", "entropy", "rank", "kl", "target"].map((name) => entry(name)),
    },
    status: "done",
    progress: { done: 4, total: 4, seconds_left: 0 },
    error: null,
    selection: null,
    stream: "resid_post",
    lens: "logit",
    color: "probability",
    side: "prompt",
    tab: "lens",
    columns: null,
    layer_zero: "bottom",
    result: makeLens(),
    attribution: null,
    code: "import interp_backend as ib",
    attribution_code: null,
    ...change,
  };
}

/** A pair, with what it needs beside its result. */
export function pairTraits(change: Record<string, unknown> = {}): Record<string, unknown> {
  return lensTraits({ result: makeLensPair(), side: "clean", ...change });
}
