// The place in the model of each cell: converts indices to places, tokens and words, and places back to cells.
import type { GridLabel } from "../../lib/grid_layout";
import { across, inverse, type Place, type Positions } from "../../lib/place";
import { range } from "../../lib/range";
import { visibleText } from "../../lib/tokens";
import { COMPUTED, ESTIMATE, NOT_COMPUTED } from "../../wire/requests";
import { fromOther, OTHER_RUN } from "./params";
import type { Axis, Run, Sweep } from "./result";

/** The source is after the destination. Only views have this state, because Python computes no such cells. */
export const FUTURE = 255;

export function stateOf(sweep: Sweep, cell: number): number {
  if (looksAhead(sweep, cell)) return FUTURE;
  const state = sweep.state[cell] ?? NOT_COMPUTED;
  // The cells that were not run are estimated by one metric; by another one they have no number.
  const known = Number.isFinite(sweep.values[cell]) || Number.isFinite(sweep.normalized[cell]);
  return state === ESTIMATE && !known ? NOT_COMPUTED : state;
}

/** Whether a cell has an effect of its own, exact or estimated. */
export function hasEffect(sweep: Sweep, cell: number): boolean {
  const state = stateOf(sweep, cell);
  return state === COMPUTED || state === ESTIMATE;
}

export const RUNS: Run[] = ["clean", "corrupt"];

/** The run that is patched, whose values a cell has if nothing changes there. */
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

/** The meaning of an axis's index in the model: a number, or the positions of a named set. */
function partOf({ json }: Sweep, axis: Axis, index: number): Positions {
  return json.places?.[axis]?.[index] ?? index;
}

/** The number in the model; for a named set of positions, its index. */
export function numberOf(sweep: Sweep, axis: Axis, index: number): number {
  const part = partOf(sweep, axis, index);
  return typeof part === "number" ? part : index;
}

/** Positions are counted in the prompt that is patched. */
export function placeOf(sweep: Sweep, cell: number): Place {
  const { axes, shape, json } = sweep;
  const at = unravel(cell, shape);
  const parts = axes.map((axis, i) => [axis, partOf(sweep, axis, at[i] ?? 0)]);
  const side = axes.some(isPosition) ? { side: baseRun(sweep) } : {};
  return { activation: json.params.activation, ...Object.fromEntries(parts), ...side };
}

/** The cell of a place, whatever its activation; null for a place that the axes don't reach. */
export function cellOf(sweep: Sweep, place: Place | null): number | null {
  if (!place) return null;
  const { axes, shape, json } = sweep;
  const here = across(place, baseRun(sweep), inverse(json.counterparts ?? null));
  let cell = 0;
  for (const [i, axis] of axes.entries()) {
    const n = shape[i] ?? 0;
    const part = fromStart(sweep, axis, here[axis]);
    const at = range(n).find((index) => samePart(partOf(sweep, axis, index), part));
    if (at === undefined) return null;
    cell = cell * n + at;
  }
  return cell;
}

/** Converts a position that counts from the end to one that counts from the start, if the map's positions do. */
function fromStart(sweep: Sweep, axis: Axis, part: Positions | undefined): Positions | undefined {
  if (!isPosition(axis) || typeof part !== "number" || part >= 0 || Number(partOf(sweep, axis, 0)) < 0)
    return part;
  return part + sweep.json.prompts[baseRun(sweep)].tokens.length;
}

function samePart(a: Positions, b: Positions | undefined): boolean {
  return a === b || (typeof a === "object" && typeof b === "object" && a.join() === b.join());
}

export type PositionAxis = "position" | "source";

export function isPosition(axis: Axis): axis is PositionAxis {
  return axis === "position" || axis === "source";
}

/** Several positions under one name, such as "subject". */
function isSet(sweep: Sweep, axis: Axis, index: number): boolean {
  return typeof partOf(sweep, axis, index) === "object";
}

/** The token at a position; if the prompts differ, both tokens, each in the colour of its prompt. */
export function tokensAt(sweep: Sweep, axis: PositionAxis, index: number): GridLabel["lines"] {
  const { prompts, params, counterparts } = sweep.json;
  const label = labelOf(sweep, axis, index);
  // Each pair of a data set has its own tokens.
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

/** Describes a part of a place: "layer 2", "position 5 ' is'". */
export function axisWords(sweep: Sweep, axis: Axis, index: number): string {
  const label = labelOf(sweep, axis, index);
  if (axis === "layer" && label === "emb") return "token embeddings";
  if (!isPosition(axis) || isSet(sweep, axis, index)) return `${axis} ${label}`;
  const tokens = tokensAt(sweep, axis, index).map(({ text }) => `'${text}'`);
  const name = axis === "source" ? "attending to position" : "position";
  return `${name} ${numberOf(sweep, axis, index)} ${tokens.join(" / ")}`;
}

/** Describes a column: "position 4: ␣Norway (clean), ␣Sweden (corrupt)". */
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
