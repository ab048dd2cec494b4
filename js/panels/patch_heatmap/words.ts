// Describes a sweep and its cells in words.
import { count, fixed } from "../../lib/format";
import { quoted } from "../../lib/picture_caption";
import { COMPUTED, ESTIMATE, NO_COUNTERPART, NOT_COMPUTED, UNCHANGED } from "../../wire/requests";
import { crossesZero, intervalOf } from "./cells";
import { OTHER_RUN, type Value } from "./params";
import { axisWords, FUTURE, otherRun, RUNS, stateOf, unravel } from "./places";
import type { Direction, Sweep } from "./result";

const WHAT_IS_DONE: Record<string, string> = {
  prompt: "a third prompt into",
  zero: "zeros into",
  mean: "means into",
  resample: "runs of other prompts into",
  add: "the difference added to",
  scale: "activations scaled in",
};

/** The subtitle, which says how to read the map. */
export function howToRead(direction: Direction, value: Value, raw: boolean): string {
  const [from, into] = direction === "denoise" ? ["clean", "corrupt"] : ["corrupt", "clean"];
  const done = value.vector ? "a given vector added to" : (WHAT_IS_DONE[value.kind] ?? `${from} into`);
  const [end, best] =
    direction === "denoise" ? ["1", "answer fully restored"] : ["\u22121", "answer fully destroyed"];
  // Only the other run's own activations can restore or destroy the difference between the runs.
  const scale = `${end} = ${value.kind === "other" ? best : `as the ${from} run`}`;
  return `${done} ${into}; ${raw ? "raw values" : scale}`;
}

export function meanOf({ pairs }: Sweep): string {
  if (!pairs) return "";
  const all = count(pairs.labels.length, "pair");
  return pairs.done < pairs.labels.length ? `mean of ${pairs.done} of ${all} so far` : `mean of ${all}`;
}

/** Single neurons have small effects, which need a third decimal. */
export function effectText({ axes }: Sweep, value: number): string {
  return fixed(value, axes.includes("neuron") ? 3 : 2);
}

/** A difference with its two numbers: "0.81 − 0.43 = +0.38". */
export function termsText(sweep: Sweep, cell: number, raw: boolean): string {
  const numbers = (sweep.terms ?? []).map((term) => (raw ? term.values : term.effects)[cell] ?? Number.NaN);
  const [first = "", second = ""] = numbers.map((value) => effectText(sweep, value));
  const difference = effectText(sweep, (raw ? sweep.values : sweep.normalized)[cell] ?? Number.NaN);
  const sign = /^[\d.]*[1-9]/.test(difference) ? "+" : "";
  return `${first} \u2212 ${second.startsWith("\u2212") ? `(${second})` : second} = ${sign}${difference}`;
}

/** The raw values of a difference: their difference too if they are of one metric. */
export function termValuesText(sweep: Sweep, cell: number): string {
  const [first, second] = sweep.terms ?? [];
  if (!first || !second) return "";
  if (first.metric === second.metric) return `${first.metric} ${termsText(sweep, cell, true)}`;
  return [first, second].map(({ metric, values }) => `${metric} ${fixed(values[cell])}`).join(", ");
}

export function effectWords(sweep: Sweep, cell: number): string {
  if (sweep.terms) return termsText(sweep, cell, false);
  const verb = sweep.json.params.direction === "denoise" ? "recovers" : "changes";
  return `${verb} ${effectText(sweep, sweep.normalized[cell] ?? Number.NaN)}`;
}

export function intervalWords(sweep: Sweep, cell: number): string {
  const [low, high] = intervalOf(sweep, cell);
  if (!Number.isFinite(low + high)) return "";
  return `95% interval ${fixed(low)} to ${fixed(high)}${crossesZero(sweep, cell) ? ", contains zero" : ""}`;
}

/** Of an exact effect, what was estimated for it; of an estimate, that it is one. */
export function estimateWords(sweep: Sweep, cell: number): string {
  if (sweep.terms)
    return stateOf(sweep, cell) === ESTIMATE ? "estimated from gradients in one of the two" : "";
  if (stateOf(sweep, cell) === ESTIMATE) return "estimated from gradients, not run";
  const estimate = sweep.estimates?.[cell] ?? Number.NaN;
  const run = stateOf(sweep, cell) === COMPUTED && Number.isFinite(estimate);
  return run ? `the estimated effect was ${effectText(sweep, estimate)}` : "";
}

/** How many pairs agree with the sign of their mean, and how many pairs the mean covers if some lack the cell. */
export function pairWords({ pairs, normalized }: Sweep, cell: number): string[] {
  if (!pairs || !Number.isFinite(normalized[cell])) return [];
  const known = pairs.known?.[cell] ?? pairs.done;
  const all = count(known, "pair");
  const words = [`${pairs.agree[cell]} of ${all} agree in sign`];
  return known < pairs.done ? [...words, `mean of ${all}: the other pairs do not have this place`] : words;
}

/** For a cell that covers several positions, how many of them were not patched. */
export function unpatchedWords({ unpatched }: Sweep, cell: number): string {
  const n = unpatched?.[cell] ?? 0;
  if (n === 0) return "";
  const [have, they] = n === 1 ? ["has", "was left as it is"] : ["have", "were left as they are"];
  return `${n} of its positions ${have} no counterpart and ${they}`;
}

/** Why a cell has no number; null if it has one. */
export function whyNone(sweep: Sweep, cell: number): string | null {
  if (sweep.terms) return whyNoDifference(sweep, cell);
  switch (stateOf(sweep, cell)) {
    case NOT_COMPUTED:
      return "not computed yet";
    case UNCHANGED:
      return (sweep.json.params.value ?? OTHER_RUN).kind === "other"
        ? "clean and corrupt are equal"
        : "the value patched in is the same";
    case NO_COUNTERPART:
      if (sweep.axes.includes("neuron") && !sweep.json.counterparts)
        return "this layer has fewer neurons, so there is nothing to patch";
      return `no token of the ${otherRun(sweep)} prompt corresponds to this token, so nothing was patched`;
    case FUTURE:
      return "a later token, which the head can't attend to";
    default:
      return null;
  }
}

function whyNoDifference(sweep: Sweep, cell: number): string | null {
  switch (stateOf(sweep, cell)) {
    case NOT_COMPUTED:
      return "not computed in both maps yet";
    case UNCHANGED:
      return "clean and corrupt are equal in both maps";
    case NO_COUNTERPART:
      return "one of the two maps has nothing to patch here";
    case FUTURE:
      return "a later token, which the head can't attend to";
    default:
      return null;
  }
}

/** What a picture that is away from its notebook has to say: the model, the answers and the prompts. */
export function captionOf(sweep: Sweep): string[] {
  const { json, pairs } = sweep;
  if (json.terms) {
    const [first, second] = json.terms.map(({ params }) => JSON.stringify(params?.pair));
    return [
      json.headline ?? "",
      ...(first === second ? captionOf({ ...sweep, json: { ...json, terms: null } }) : []),
    ];
  }
  const { name } = json.provenance.model ?? {};
  const { clean, corrupt } = json.prompts;
  const answers = RUNS.flatMap((run) => {
    const { answer, answers: several = answer === null ? [] : [answer] } = json.prompts[run];
    return several.length > 0 ? [`${run} answer ${several.map(quoted).join(" or ")}`] : [];
  });
  if (pairs)
    return [
      [name, `${count(pairs.labels.length, "pair")}, the first ${quoted(clean.text)}`]
        .filter(Boolean)
        .join(" \u00b7 "),
    ];
  return [
    [name, ...answers].filter(Boolean).join(" \u00b7 "),
    `${quoted(clean.text)} (clean)`,
    `${quoted(corrupt.text)} (corrupt)`,
  ];
}

/** A cell's text for screen readers: "layer 2, position 5 ' is', recovers 0.78". */
export function describeCell(sweep: Sweep, raw: boolean, cell: number): string {
  const numbers = sweep.terms && termsText(sweep, cell, raw);
  const value = numbers ?? (raw ? fixed(sweep.values[cell]) : effectWords(sweep, cell));
  const words = [value, estimateWords(sweep, cell), intervalWords(sweep, cell), unpatchedWords(sweep, cell)];
  const description = whyNone(sweep, cell) ?? words.filter(Boolean).join(", ");
  return `${placeWords(sweep, cell)}, ${description}`;
}

export function placeWords(sweep: Sweep, cell: number): string {
  const at = unravel(cell, sweep.shape);
  return sweep.axes.map((axis, i) => axisWords(sweep, axis, at[i] ?? 0)).join(", ");
}

/** The title of an opened map: "head 2.1 by position". */
export function openedTitle(sweep: Sweep): string {
  const fixedAxes = sweep.axes.filter((_, i) => sweep.shape[i] === 1);
  const swept = sweep.axes.filter((_, i) => sweep.shape[i] !== 1);
  const parts = fixedAxes.map((axis) => axisWords(sweep, axis, 0));
  if (fixedAxes[0] === "layer" && fixedAxes[1] === "head") {
    const [layer, head] = fixedAxes.map((axis) => sweep.json.labels[axis]?.[0]);
    parts.splice(0, 2, `head ${layer}.${head}`);
  }
  const by = swept.map((axis) => (axis === "source" ? "source position" : axis)).join(" and ");
  return by ? `${parts.join(", ")} by ${by}` : parts.join(", ");
}
