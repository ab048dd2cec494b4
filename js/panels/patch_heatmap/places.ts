// Which place of the model a cell is: from indices to numbers, tokens and words, and from selections back to cells.
import type { GridLabel } from "../../lib/grid_layout";
import type { Selection } from "../../lib/model";
import { range } from "../../lib/range";
import { visibleText } from "../../lib/tokens";
import { fromOther, OTHER_RUN } from "./params";
import { type Axis, EMPTY, type Run, type Sweep } from "./result";

/** The state of a cell where a head can't look: its source comes later. Only the view knows of it. */
export const FUTURE = 4;

export function stateOf(sweep: Sweep, cell: number): number {
  return looksAhead(sweep, cell) ? FUTURE : (sweep.state[cell] ?? EMPTY);
}

const RUNS: Run[] = ["clean", "corrupt"];

/** The run that is patched: its numbers are also those of a cell where nothing changes. */
export function baseRun({ json }: Sweep): Run {
  return json.params.direction === "denoise" ? "corrupt" : "clean";
}

export const otherRun = (sweep: Sweep): Run => (baseRun(sweep) === "clean" ? "corrupt" : "clean");

export function unravel(index: number, shape: number[]): number[] {
  const at: number[] = [];
  let rest = index;
  for (let i = shape.length - 1; i >= 0; i--) {
    const n = shape[i] ?? 1;
    at[i] = rest % n;
    rest = Math.floor(rest / n);
  }
  return at;
}

export function labelOf({ json }: Sweep, axis: Axis, index: number): string {
  return json.labels[axis]?.[index] ?? String(index);
}

/** The number in the model; for a named set of positions its index. */
export function numberOf({ json }: Sweep, axis: Axis, index: number): number {
  const place = json.places?.[axis]?.[index];
  return typeof place === "number" ? place : index;
}

export function selectionOf(sweep: Sweep, cell: number): Record<string, number> {
  const at = unravel(cell, sweep.shape);
  return Object.fromEntries(sweep.axes.map((axis, i) => [axis, numberOf(sweep, axis, at[i] ?? 0)]));
}

/** The cell that a selection names; null for one that names other axes or lies outside. */
export function selectedCell(sweep: Sweep, selection: Selection): number | null {
  const { axes, shape } = sweep;
  if (!selection || Object.keys(selection).length !== axes.length) return null;
  let cell = 0;
  for (const [i, axis] of axes.entries()) {
    const n = shape[i] ?? 0;
    const at = range(n).find((index) => numberOf(sweep, axis, index) === selection[axis]);
    if (at === undefined) return null;
    cell = cell * n + at;
  }
  return cell;
}

export type PositionAxis = "position" | "source";

export function isPosition(axis: Axis): axis is PositionAxis {
  return axis === "position" || axis === "source";
}

/** Several positions under one name, such as "subject". */
function isSet({ json }: Sweep, axis: Axis, index: number): boolean {
  return Array.isArray(json.places?.[axis]?.[index]);
}

/** The token at a position; where the two prompts differ that of each, in its tone. */
export function tokensAt(sweep: Sweep, axis: PositionAxis, index: number): GridLabel["lines"] {
  const { prompts, params, counterparts } = sweep.json;
  const label = labelOf(sweep, axis, index);
  // Every pair of a data set has tokens of its own.
  if (sweep.pairs || isSet(sweep, axis, index)) return [{ text: label, tone: null }];
  const [run, other] = [baseRun(sweep), otherRun(sweep)];
  const position = numberOf(sweep, axis, index);
  const base = prompts[run].tokens[position] ?? label;
  const aligned = counterparts || prompts.clean.tokens.length === prompts.corrupt.tokens.length;
  const there = counterparts ? (counterparts[position] ?? -1) : position;
  const token = prompts[other].tokens[there];
  const alone = !aligned || !fromOther(params.value ?? OTHER_RUN);
  if (alone || token === base) return [{ text: base, tone: null }];
  const sides = { [run]: base, [other]: token };
  return RUNS.flatMap((tone) => {
    const text = sides[tone];
    return text === undefined ? [] : [{ text, tone }];
  });
}

/** An axis and where on it, as one would say it: "layer 2", "position 5 ' is'". */
export function axisWords(sweep: Sweep, axis: Axis, index: number): string {
  const label = labelOf(sweep, axis, index);
  if (axis === "layer" && label === "emb") return "token embeddings";
  if (!isPosition(axis) || isSet(sweep, axis, index)) return `${axis} ${label}`;
  const tokens = tokensAt(sweep, axis, index).map(({ text }) => `'${text}'`);
  const name = axis === "source" ? "looking at position" : "position";
  return `${name} ${numberOf(sweep, axis, index)} ${tokens.join(" / ")}`;
}

/** A column's label in words: "position 4: ␣Norway (clean), ␣Sweden (corrupt)". */
export function columnTitle(sweep: Sweep, axis: Axis, index: number): string {
  if (!isPosition(axis) || isSet(sweep, axis, index)) return `${axis} ${labelOf(sweep, axis, index)}`;
  const tokens = tokensAt(sweep, axis, index);
  const only = tokens.length === 1 ? " only" : "";
  const words = tokens.map(({ text, tone }) => visibleText(text) + (tone ? ` (${tone}${only})` : ""));
  return `${axis} ${numberOf(sweep, axis, index)}: ${words.join(", ")}`;
}

function looksAhead(sweep: Sweep, cell: number): boolean {
  const [position, source] = [sweep.axes.indexOf("position"), sweep.axes.indexOf("source")];
  if (position < 0 || source < 0) return false;
  const at = unravel(cell, sweep.shape);
  return numberOf(sweep, "source", at[source] ?? 0) > numberOf(sweep, "position", at[position] ?? 0);
}
