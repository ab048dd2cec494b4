// Sweeps of the shapes that Python makes, with effects that can be reasoned about.
import type { Field } from "../../js/lib/arguments";
import type { Axis, ResultJson } from "../../js/panels/patch_heatmap/result";
import { arrayJson, CLEAN, CORRUPT, makeResult } from "./helpers";

export type Effect = (at: number[], index: number) => number;

export function numbers(n: number): string[] {
  return Array.from({ length: n }, (_, i) => String(i));
}

/** A complete sweep over any axes; `effect` says the normalized value of a cell from its indices. */
export function makeSweep(
  axes: Axis[],
  shape: number[],
  effect: Effect = (_, index) => index / 100,
  change: Partial<ResultJson> = {},
): ResultJson {
  const size = shape.reduce((product, n) => product * n, 1);
  const indicesOf = (index: number) =>
    shape.map((n, i) => Math.floor(index / shape.slice(i + 1).reduce((product, m) => product * m, 1)) % n);
  const values = Array.from({ length: size }, (_, index) => effect(indicesOf(index), index));
  const labels = Object.fromEntries(axes.map((axis, i) => [axis, numbers(shape[i] ?? 1)]));
  if (labels.position) labels.position = CORRUPT.slice(0, labels.position.length);
  if (labels.source) labels.source = CORRUPT.slice(0, labels.source.length);
  return makeResult({
    axes,
    params: { activation: "z", axes, direction: "denoise", metric: "logit_diff" },
    labels,
    places: Object.fromEntries(axes.map((axis, i) => [axis, numbers(shape[i] ?? 1).map(Number)])),
    values: arrayJson("float32", shape, values),
    normalized: arrayJson("float32", shape, values),
    state: arrayJson("uint8", shape, Array(size).fill(1)),
    ...change,
  });
}

/** 3 layers by 6 positions over 4 pairs, 3 of them done, of which the first lacks position 0. Cell i of pair p has
 *  effect i / 10 + p / 100. */
export function makePairs(): ResultJson {
  const [shape, cells, pairs] = [[3, 6], 18, 4];
  const each = (p: number) =>
    Array.from({ length: cells }, (_, i) => (p < 3 && (p > 0 || i % 6) ? i / 10 + p / 100 : Number.NaN));
  const mean = each(1);
  const known = mean.map((_, i) => (i % 6 ? 3 : 2));
  const all = numbers(pairs).flatMap((p) => each(Number(p)));
  const around = (by: number) => mean.map((value) => value + by);
  return makeSweep(["layer", "position"], shape, (_, i) => mean[i] ?? 0, {
    pairs: {
      labels: ["France / Italy", "Japan / Norway", "<b>Peru</b> / Chile", "Kenya / Cuba"],
      normalized: arrayJson("float32", [pairs, ...shape], all),
      low: arrayJson("float32", shape, around(-0.15)),
      high: arrayJson("float32", shape, around(0.15)),
      agree: arrayJson("int32", shape, Array(cells).fill(2)),
      known: arrayJson("int32", shape, known),
      done: 3,
    },
  });
}

/** The corrupt prompt has one token more, " now", at position 3. */
export function makeUnequal(): ResultJson {
  const corrupt = [...CORRUPT.slice(0, 3), " now", ...CORRUPT.slice(3)];
  const state = Array.from({ length: 14 }, (_, i) => [2, 2, 2, 3, 2, 1, 1][i % 7] ?? 0);
  const result = makeSweep(["layer", "position"], [2, 7], (_, i) => i / 10);
  result.labels.position = corrupt;
  result.prompts.clean.tokens = CLEAN;
  result.prompts.corrupt.tokens = corrupt;
  result.state = arrayJson("uint8", [2, 7], state);
  return { ...result, counterparts: [0, 1, 2, null, 3, 4, 5] };
}

/** A second metric that the sweep measured: the probability. Its effects are Python's, whatever its values. */
export function withProbability(result: ResultJson): ResultJson {
  const { values, normalized, baselines, pairs = null } = result;
  const all = (value: number) => {
    const { shape } = values;
    return arrayJson("float32", shape, Array(shape.reduce((product, n) => product * n, 1)).fill(value));
  };
  const warnings = ["The answers are several tokens long."];
  return {
    ...result,
    provenance: { ...result.provenance, warnings: ["Hooks of your own are on the model.", ...warnings] },
    measures: {
      logit_diff: { label: "logit difference", values, normalized, baselines, warnings, pairs },
      prob: {
        label: "probability",
        values: all(0.5),
        normalized: all(0.25),
        baselines: { clean: 0.9, corrupt: 0.1 },
        scale_text: "0 is the corrupt run (+0.1)",
        warnings: ["The probabilities are small."],
        pairs: pairs && { ...pairs, low: all(0.2), high: all(0.3), agree: pairs.known ?? pairs.agree },
      },
    },
  };
}

/** An argument as menus.py describes it. */
export function makeField(name: string, type: Field["type"], change: Partial<Field> = {}): Field {
  const plain = { help: "", choices: [], least: null, most: null, default: null, applies: null };
  return { name, label: name.replaceAll("_", " "), type, ...plain, ...change };
}

export const INFO = {
  activations: [
    {
      activation: "resid_pre",
      axes: ["layer", "position"],
      label: "resid_pre",
      help: "",
      reason: null,
      opens: null,
    },
    {
      activation: "z",
      axes: ["layer", "head"],
      label: "z, by head",
      help: "",
      reason: null,
      opens: "its positions",
    },
    { activation: "z", axes: ["layer", "position"], label: "z", help: "", reason: null, opens: "its heads" },
    {
      activation: "z",
      axes: ["layer", "head", "position"],
      label: "z, by head and position",
      help: "",
      reason: null,
      opens: null,
    },
  ],
  metrics: [
    { name: "logit_diff", label: "logit difference", help: "clean minus corrupt" },
    { name: "prob", label: "probability", help: "" },
  ],
  directions: [
    { name: "denoise", label: "clean \u2192 corrupt", help: "" },
    { name: "noise", label: "corrupt \u2192 clean", help: "" },
  ],
  values: [
    { kind: "other", label: "the other run", help: "", reason: null, fields: [] },
    {
      kind: "prompt",
      label: "a third prompt",
      help: "",
      reason: null,
      fields: [makeField("text", "string", { label: "prompt", help: "the third prompt" })],
    },
    { kind: "zero", label: "zero", help: "", reason: null, fields: [] },
    {
      kind: "mean",
      label: "the mean",
      help: "",
      reason: null,
      fields: [makeField("by_position", "boolean", { label: "for each position", default: true })],
    },
    {
      kind: "resample",
      label: "resample",
      help: "",
      reason: "needs a data set of prompts",
      fields: [
        makeField("draws", "integer", { least: 1, most: 1000, default: 1 }),
        makeField("seed", "integer", { least: 0, default: 0 }),
      ],
    },
    {
      kind: "add",
      label: "add the difference",
      help: "",
      reason: null,
      fields: [makeField("factor", "number", { default: 1 })],
    },
    { kind: "scale", label: "scale", help: "", reason: null, fields: [makeField("factor", "number")] },
  ],
  window: makeField("window", "integer", {
    help: "how many layers are patched together",
    least: 1,
    most: 1000,
    default: 1,
    applies: { argument: "activation", values: ["resid_pre", "z", "attn_out"] },
  }),
  at: makeField("at", "integer"),
};
