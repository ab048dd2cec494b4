// To which maps the less usual options apply, and what they are called where they can't be changed.
import { fixed } from "../../lib/format";
import { visibleText } from "../../lib/tokens";
import { appliesTo } from "./arguments";
import { argumentsOf, type HeatmapInfo, type Params, type Value } from "./params";
import { baseRun } from "./places";
import type { Sweep } from "./result";

/** A window needs several layers. */
export function takesWindow(params: Params, { window }: HeatmapInfo, sweep: Sweep | null): boolean {
  const layers = sweep?.json.labels.layer?.length ?? 0;
  return (
    Boolean(window && appliesTo(window, argumentsOf(params))) && params.axes.includes("layer") && layers > 1
  );
}

/** The tokens of the patched prompt; none where every pair of a data set has its own. */
export function positionNames(sweep: Sweep | null): string[] {
  if (!sweep || sweep.pairs) return [];
  const { tokens } = sweep.json.prompts[baseRun(sweep)];
  return tokens.map((token, position) => `${position} ${visibleText(token)}`);
}

/** The menu offers the difference of the two runs; a vector of the user's own is given in Python. */
export function valueLabel(value: Value, { values = [] }: HeatmapInfo): string {
  if (value.vector) return "add a given vector";
  return values.find(({ kind }) => kind === value.kind)?.label ?? value.kind;
}

/** What is not as usual, in words. */
export function unusual(
  { value, window, at, options }: Params,
  info: HeatmapInfo,
  sweep: Sweep | null,
): string[] {
  const words: string[] = [];
  if (value.kind !== "other") {
    const factor = value.factor === undefined ? "" : ` times ${fixed(value.factor)}`;
    words.push(valueLabel(value, info) + factor + (value.by_position ? " for each position" : ""));
    if ((value.draws ?? 1) > 1) words.push(`${value.draws} draws a cell`);
    if (value.text) words.push(`“${value.text}”`);
  }
  if (window > 1) words.push(`window ${window}`);
  if (at !== null) words.push(`read at ${positionNames(sweep)[at] ?? at}`);
  for (const { name, label, default: usual } of info.fields ?? []) {
    if ((options[name] ?? usual) !== usual) words.push(`${label} ${options[name]}`);
  }
  return words;
}
