// From a sweep to what the grid shows: labels, numbers, colours, words; and from selections to cells and back.
import { divergingScale, type Scale } from "../lib/color";
import { fixed } from "../lib/format";
import type { GridLabel } from "../lib/grid_layout";
import type { CellPaint } from "../lib/grid_paint";
import type { LegendTick } from "../lib/legend";
import type { Selection } from "../lib/model";
import { sizeOf } from "../lib/ndarray";
import type { Palette } from "../lib/theme";
import { visibleText } from "../lib/tokens";
import { COMPUTED, type Direction, EMPTY, EQUAL, type Sweep } from "./result";

const WIDEST = 2;

/** The baselines score the same: there is no scale from 0 to 1. */
export function isRaw({ state, values, normalized }: Sweep): boolean {
  let computed = false;
  for (let i = 0; i < state.length; i++) {
    if (state[i] !== COMPUTED) continue;
    if (Number.isFinite(normalized[i])) return false;
    computed ||= Number.isFinite(values[i]);
  }
  return computed;
}

/** The scale reaches 1, or the largest effect where that is larger, up to 2. */
export function domainOf({ normalized }: Sweep): { domain: number; clipped: boolean } {
  let largest = 1;
  for (const value of normalized) if (Math.abs(value) > largest) largest = Math.abs(value);
  return { domain: Math.min(WIDEST, largest), clipped: largest > WIDEST };
}

export function legendTicks(sweep: Sweep): LegendTick[] {
  const { domain, clipped } = domainOf(sweep);
  const denoise = sweep.json.params.direction === "denoise";
  const named = [
    { value: 1, text: "1", word: denoise ? "clean" : undefined },
    { value: 0, text: "0", word: denoise ? "corrupt" : "clean" },
    { value: -1, text: fixed(-1, 0), word: denoise ? undefined : "corrupt" },
  ];
  // A tick for the ends too, where it would not run into the one beside it.
  if (domain < 1.6) return named;
  const end = fixed(domain, domain === WIDEST ? 0 : 1);
  return [
    { value: domain, text: clipped ? `\u2265 ${end}` : end },
    ...named,
    { value: -domain, text: clipped ? `\u2264 \u2212${end}` : `\u2212${end}` },
  ];
}

export function scaleOf(sweep: Sweep, palette: Palette): Scale {
  return divergingScale(palette, domainOf(sweep).domain);
}

export function paintCell(
  sweep: Sweep,
  palette: Palette,
  scale: Scale,
  raw: boolean,
  index: number,
): CellPaint | null {
  const state = sweep.state[index];
  if (state === EMPTY) return null;
  if (state === EQUAL) return { fill: palette.soft, ink: palette.faint, text: "=" };
  const value = (raw ? sweep.values : sweep.normalized)[index] ?? Number.NaN;
  const colored = raw || !Number.isFinite(value) ? 0 : value;
  return { fill: scale.fill(colored), ink: scale.ink(colored), text: fixed(value) };
}

export function rowLabels({ axes, shape, json }: Sweep): GridLabel[] {
  const rowAxes = axes.slice(0, -1);
  return Array.from({ length: sizeOf(shape.slice(0, -1)) }, (_, row) => {
    const at = unravel(row, shape.slice(0, -1));
    const text = rowAxes.map((axis, i) => json.labels[axis]?.[at[i] ?? 0] ?? at[i]).join(".");
    const title = rowAxes.map((axis, i) => `${axis} ${at[i]}`).join(", ");
    return { lines: [{ text, tone: null }], title };
  });
}

export function columnLabels(sweep: Sweep): GridLabel[] {
  const axis = sweep.axes.at(-1) ?? "position";
  const labels = sweep.json.labels[axis] ?? [];
  return labels.map((text, index) => {
    if (axis !== "position") return { lines: [{ text, tone: null }], title: `${axis} ${text}` };
    const [clean, corrupt] = tokensAt(sweep, index);
    const title = `position ${index}: ${visibleText(clean)}`;
    if (clean === corrupt) return { lines: [{ text: clean, tone: null }], title };
    return {
      lines: [
        { text: clean, tone: "clean" },
        { text: corrupt, tone: "corrupt" },
      ],
      title: `${title} (clean), ${visibleText(corrupt)} (corrupt)`,
    };
  });
}

/** What stands where row and column labels meet. Tokens need no name, heads do. */
export function cornerOf({ axes }: Sweep): string {
  const rows = axes.slice(0, -1).join(".");
  return axes.at(-1) === "position" ? rows : `${rows} \u00d7 ${axes.at(-1)}`;
}

/** Left of the first token that differs every cell is equal. */
export function firstDiffering(columns: GridLabel[]): number {
  return Math.max(
    0,
    columns.findIndex((label) => label.lines.length > 1),
  );
}

/** The clean and the corrupt token at a position. */
export function tokensAt({ json }: Sweep, position: number): [string, string] {
  const clean = json.prompts.clean.tokens[position] ?? json.labels.position?.[position] ?? "";
  return [clean, json.prompts.corrupt.tokens[position] ?? clean];
}

export function effectWords(direction: Direction, value: number): string {
  return `${direction === "denoise" ? "recovers" : "changes"} ${fixed(value)}`;
}

/** A cell as a screen reader says it: "layer 2, position 5 ' is', recovers 0.78". */
export function describeCell(sweep: Sweep, raw: boolean, index: number): string {
  const at = unravel(index, sweep.shape);
  const place = sweep.axes.map((axis, i) => {
    const n = at[i] ?? 0;
    return axis === "position" ? `position ${n} '${tokensAt(sweep, n)[0]}'` : `${axis} ${n}`;
  });
  return [...place, stateWords(sweep, raw, index)].join(", ");
}

function stateWords(sweep: Sweep, raw: boolean, index: number): string {
  if (sweep.state[index] === EMPTY) return "not computed yet";
  if (sweep.state[index] === EQUAL) return "clean and corrupt are equal";
  if (raw) return fixed(sweep.values[index]);
  return effectWords(sweep.json.params.direction, sweep.normalized[index] ?? Number.NaN);
}

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

export function selectionOf({ axes, shape }: Sweep, index: number): Selection {
  const at = unravel(index, shape);
  return Object.fromEntries(axes.map((axis, i) => [axis, at[i] ?? 0]));
}

/** The cell that a selection names; null for one that names other axes or lies outside. */
export function selectedCell({ axes, shape }: Sweep, selection: Selection): number | null {
  if (!selection || Object.keys(selection).length !== axes.length) return null;
  let index = 0;
  for (const [i, axis] of axes.entries()) {
    const at = selection[axis];
    const n = shape[i] ?? 0;
    if (at === undefined || !Number.isInteger(at) || at < 0 || at >= n) return null;
    index = index * n + at;
  }
  return index;
}
