// To which maps the less usual options apply, and what they are called where they can't be changed.
import { fixed } from "../lib/format";
import { visibleText } from "../lib/tokens";
import type { HeatmapInfo, Params } from "./params";
import { baseRun } from "./places";
import type { Sweep } from "./result";

/** Patched together over neighbouring layers these add up; the residual stream is a sum already. */
const WINDOWED = ["attn_out", "mlp_out", "z", "mlp_post"];

export function takesWindow({ activation, axes }: Params, sweep: Sweep | null): boolean {
  const layers = sweep?.json.labels.layer?.length ?? 0;
  return axes.includes("layer") && layers > 1 && WINDOWED.includes(activation);
}

/** The tokens of the patched prompt; none where every pair of a data set has its own. */
export function positionNames(sweep: Sweep | null): string[] {
  if (!sweep || sweep.pairs) return [];
  const { tokens } = sweep.json.prompts[baseRun(sweep)];
  return tokens.map((token, position) => `${position} ${visibleText(token)}`);
}

/** What is not as usual, in words. */
export function unusual(
  { value, window, at }: Params,
  { values = [] }: HeatmapInfo,
  sweep: Sweep | null,
): string[] {
  const words: string[] = [];
  if (value.kind !== "other") {
    const label = values.find((entry) => entry.kind === value.kind)?.label ?? value.kind;
    const factor = value.factor === undefined ? "" : ` times ${fixed(value.factor)}`;
    words.push(label + factor + (value.by_position ? " for each position" : ""));
    if (value.text) words.push(`“${value.text}”`);
  }
  if (window > 1) words.push(`window ${window}`);
  if (at !== null) words.push(`read at ${positionNames(sweep)[at] ?? at}`);
  return words;
}
