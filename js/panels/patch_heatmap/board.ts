// Arranges a sweep as panels, rows and columns. Usually each cell of the grid is a cell of the sweep, but of the thousands
// of neurons in a layer only those with the largest effects are shown, and the columns before the first difference can be
// folded.
import { type GridLabel, type GridShape, plainLabel } from "../../lib/grid_layout";
import { sizeOf } from "../../lib/ndarray";
import { range } from "../../lib/range";
import { UNCHANGED } from "../../wire/requests";
import { columnTitle, isPosition, labelOf, numberOf, tokensAt, unravel } from "./places";
import type { Axis, Sweep } from "./result";

export interface Board extends GridShape {
  /** The sweep's cell for each cell of the grid; null if they are the same. */
  cells: number[] | null;
  /** How many columns before the first shown one are folded. */
  hidden: number;
}

/** Fewer equal columns than this are worth their room. */
const WORTH_FOLDING = 8;
/** The tokens before the first difference stay, since they are its context. */
const CONTEXT = 2;

/** `rising` puts layer 0 at the bottom. `most` is how many neurons each row shows, `hidden` how many columns are folded. */
export function boardOf(sweep: Sweep, rising: boolean, most: number, hidden = 0): Board {
  const { panelAxes, rowAxes, columnAxis } = splitAxes(sweep);
  const rows = rowLabels(sweep, rowAxes);
  const flip = rising && rowAxes.includes("layer") && sizeAlong(sweep, "layer") > 1;
  const corner = cornerOf(sweep, rowAxes, columnAxis === "neuron" ? "rank" : columnAxis);
  const shared = { rows, flip, rise: rising, panels: panelTitles(sweep, panelAxes), corner };
  if (columnAxis === "neuron") return { ...shared, ...largest(sweep, most), compact: false, hidden: 0 };
  const columns = columnLabels(sweep, columnAxis);
  if (hidden === 0) return { ...shared, columns, compact: true, cells: null, hidden };
  const cells = range(sweep.state.length).filter((cell) => cell % columns.length >= hidden);
  const folded = foldedWords(sweep, columnAxis, hidden);
  return { ...shared, columns: columns.slice(hidden), compact: true, cells, hidden, folded };
}

/** How many columns could be folded: those at the start where nothing can change in any row. */
export function foldable(sweep: Sweep): number {
  const { state, shape, pairs } = sweep;
  const columnAxis = sweep.axes.at(-1) ?? "layer";
  // While pairs of a data set are added, a column that is equal so far may still differ.
  if (!isPosition(columnAxis) || (pairs && pairs.done < pairs.labels.length)) return 0;
  const columns = shape.at(-1) ?? 0;
  let equal = columns;
  for (let cell = 0; cell < state.length; cell++)
    if (state[cell] !== UNCHANGED) equal = Math.min(equal, cell % columns);
  if (equal === columns) return 0;
  // In many small panels each column takes its room many times, and none has a number to read.
  if (splitAxes(sweep).panelAxes.length > 0) return equal;
  return equal >= WORTH_FOLDING ? equal - CONTEXT : 0;
}

function foldedWords(sweep: Sweep, axis: Axis, hidden: number) {
  const [first, last] = [0, hidden - 1].map((column) => numberOf(sweep, axis, column));
  const title = `${axis}s ${first} to ${last}: clean and corrupt are equal, so patching changes nothing`;
  return { text: `= ${hidden} equal tokens`, title };
}

/** The first column that differs between the runs; cells to its left are equal in both. */
export function firstDiffering(columns: GridLabel[]): number {
  return Math.max(
    0,
    columns.findIndex((label) => label.lines.some((line) => line.tone)),
  );
}

/** For tables: all axes but the last as rows, and every neuron as a column. */
export function flatBoard(sweep: Sweep): Pick<Board, "rows" | "columns" | "corner"> {
  const [rowAxes, columnAxis] = [sweep.axes.slice(0, -1), sweep.axes.at(-1) ?? "position"];
  const columns = columnLabels(sweep, columnAxis);
  return { rows: rowLabels(sweep, rowAxes), columns, corner: cornerOf(sweep, rowAxes, columnAxis) };
}

/** The text in the corner where row and column labels meet. Heads are named there; tokens need no name. */
function cornerOf(sweep: Sweep, rowAxes: Axis[], column: string): string {
  const rows = namedAxes(sweep, rowAxes).join(".");
  if (rows === "position") return column;
  return column === "position" ? rows : `${rows} \u00d7 ${column}`;
}

function columnLabels(sweep: Sweep, axis: Axis): GridLabel[] {
  return range(sizeAlong(sweep, axis)).map((index) => axisLabel(sweep, axis, index));
}

/** With three or more axes, the outer ones become panels, unless each panel would have a single row. */
function splitAxes({ axes, shape }: Sweep): { panelAxes: Axis[]; rowAxes: Axis[]; columnAxis: Axis } {
  const columnAxis = axes.at(-1) ?? "position";
  const [outer, inner] = [axes.slice(0, -2), axes.slice(-2, -1)];
  const panels = sizeOf(shape.slice(0, -2));
  const apart = panels > 1 && (shape.at(-2) ?? 1) > 1 && columnAxis !== "neuron";
  if (apart) return { panelAxes: outer, rowAxes: inner, columnAxis };
  return { panelAxes: [], rowAxes: [...outer, ...inner], columnAxis };
}

/** The axes that identify a row; a head is named with its layer. */
function namedAxes(sweep: Sweep, rowAxes: Axis[]): Axis[] {
  const many = rowAxes.filter((axis) => sizeAlong(sweep, axis) > 1);
  if (many.length === 0) return rowAxes.filter((axis) => !isPosition(axis));
  const whole = many.includes("head") && rowAxes.length > 1;
  return rowAxes.filter((axis) => many.includes(axis) || (axis === "layer" && whole));
}

function rowLabels(sweep: Sweep, rowAxes: Axis[]): GridLabel[] {
  const sizes = rowAxes.map((axis) => sizeAlong(sweep, axis));
  const named = namedAxes(sweep, rowAxes);
  return range(sizeOf(sizes)).map((row) => {
    const at = unravel(row, sizes);
    const labels = named.map((axis) => axisLabel(sweep, axis, at[rowAxes.indexOf(axis)] ?? 0));
    const [first] = labels;
    const title = labels.map((label) => label.title).join(", ");
    if (first && labels.length === 1) return { ...first, title };
    const text = labels.map((label) => label.lines[0]?.text).join(".");
    return plainLabel(text, title);
  });
}

function panelTitles(sweep: Sweep, panelAxes: Axis[]): string[] {
  const sizes = panelAxes.map((axis) => sizeAlong(sweep, axis));
  if (sizes.length === 0) return [];
  return range(sizeOf(sizes)).map((panel) => {
    const at = unravel(panel, sizes);
    return panelAxes.map((axis, i) => `${axis} ${labelOf(sweep, axis, at[i] ?? 0)}`).join(", ");
  });
}

function axisLabel(sweep: Sweep, axis: Axis, index: number): GridLabel {
  const lines: GridLabel["lines"] = isPosition(axis)
    ? tokensAt(sweep, axis, index)
    : [{ text: labelOf(sweep, axis, index), tone: null }];
  return { lines, title: columnTitle(sweep, axis, index) };
}

function sizeAlong({ axes, shape }: Sweep, axis: Axis): number {
  return shape[axes.indexOf(axis)] ?? 1;
}

/** For each row, the neurons with the largest effects of either sign. */
function largest(sweep: Sweep, most: number): Pick<Board, "cells" | "columns"> {
  const neurons = sweep.shape.at(-1) ?? 0;
  const shown = Math.min(most, neurons);
  const size = (cell: number) => Math.abs(sweep.normalized[cell] ?? 0) || 0;
  const starts = range(sizeOf(sweep.shape.slice(0, -1))).map((row) => row * neurons);
  const cells = starts.flatMap((start) =>
    range(neurons)
      .map((i) => start + i)
      .sort((a, b) => size(b) - size(a))
      .slice(0, shown),
  );
  const columns = range(shown).map((i) => plainLabel(String(i + 1), `rank ${i + 1}`));
  return { cells, columns };
}

/** The number of a neuron, shown in its cell. */
export function neuronNumber(sweep: Sweep, cell: number): string {
  return String(numberOf(sweep, "neuron", cell % (sweep.shape.at(-1) ?? 1)));
}
