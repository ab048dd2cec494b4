// Exports the sweep as a table for a spreadsheet and as a picture file.
import { savePng } from "../../lib/clipboard";
import { labelCell, layoutGrid, PANEL_GAP } from "../../lib/grid_layout";
import { paintPicture } from "../../lib/grid_picture";
import { numberCell, plainCell, toTsv } from "../../lib/table";
import type { Palette } from "../../lib/theme";
import { COMPUTED, ESTIMATE, NO_COUNTERPART, NOT_COMPUTED, UNCHANGED } from "../../wire/requests";
import { type Board, flatBoard } from "./board";
import { type Look, legendOf, painter } from "./cells";
import { hasEffect, labelOf, numberOf, stateOf, unravel } from "./places";
import type { Axis, Sweep } from "./result";

/** The layout of a picture with several panels: side by side, with columns as wide as their upright labels. */
const PANELS_ACROSS = 4;
const UPRIGHT_COLUMN = 14;

/** Tab-separated values: rows from top to bottom, with full precision. Equal cells are exactly 0 or, if values are
 *  raw, the value of the patched run. */
export function toTable(sweep: Sweep, raw: boolean, rising: boolean): string {
  const { rows, columns, corner } = flatBoard(sweep);
  const lines = rows.map((label, row) => {
    const cells = columns.map((_, column) => tableNumber(sweep, raw, row * columns.length + column));
    return [labelCell(label), ...cells];
  });
  const reversed = rising && sweep.axes[0] === "layer" && (sweep.shape[0] ?? 1) > 1;
  return toTsv([[corner, ...columns.map(labelCell)], ...(reversed ? lines.reverse() : lines)]);
}

/** What Python calls the states of cells. */
const STATES = new Map<number, string>([
  [COMPUTED, "computed"],
  [ESTIMATE, "estimate"],
  [UNCHANGED, "unchanged"],
  [NO_COUNTERPART, "no counterpart"],
  [NOT_COMPUTED, "not computed"],
]);

/** One line for each cell, as in Python's `to_dataframe`. */
export function allCells(sweep: Sweep): string[][] {
  const { axes, shape, values, normalized, estimates, terms } = sweep;
  const lines: string[][] = [];
  for (let cell = 0; cell < values.length; cell++) {
    const state = STATES.get(stateOf(sweep, cell));
    if (!state) continue;
    const at = unravel(cell, shape);
    const parts = axes.flatMap((axis, i) => partCells(sweep, axis, at[i] ?? 0));
    const further = [...(terms ?? []).map(({ effects }) => effects), ...(estimates ? [estimates] : [])];
    const numbers = [values, normalized, ...further].map((array) => array[cell]);
    lines.push([...parts, ...numbers.map((value) => numberCell(value)), state]);
  }
  const names = axes.flatMap((axis) => (axis === "position" ? [axis, "token"] : [axis]));
  const further = [...(terms ? ["first", "second"] : []), ...(estimates ? ["estimate"] : [])];
  return [[...names, "value", "normalized", ...further, "state"], ...lines];
}

function partCells(sweep: Sweep, axis: Axis, index: number): string[] {
  const [number, label] = [String(numberOf(sweep, axis, index)), plainCell(labelOf(sweep, axis, index))];
  return axis === "position" ? [number, label] : [axis === "layer" ? label : number];
}

/** What a file of the sweep is called, without its ending. */
export const fileName = ({ json, terms }: Sweep): string =>
  `patching-${terms ? "difference" : json.params.activation}`;

export function savePicture(
  sweep: Sweep,
  board: Board,
  look: Look,
  palette: Palette,
  subtitle: string,
  caption: string[],
): void {
  const panel = board.columns.length * UPRIGHT_COLUMN + PANEL_GAP;
  const room = board.panels.length > 0 ? (PANELS_ACROSS + 1) * panel : Number.POSITIVE_INFINITY;
  const canvas = document.createElement("canvas");
  paintPicture(canvas, {
    title: sweep.terms ? "Difference" : "Activation patching",
    subtitle,
    caption,
    shape: board,
    layout: layoutGrid(board, room, palette.mono),
    paint: painter(sweep, board, palette, look),
    legend: look.scaled ? legendOf(sweep, palette, look) : null,
    palette,
  });
  savePng(canvas, sweep.terms ? fileName(sweep) : `${fileName(sweep)}-${sweep.json.params.direction}`);
}

function tableNumber(sweep: Sweep, raw: boolean, cell: number): string {
  const state = stateOf(sweep, cell);
  if (state === UNCHANGED && !raw) return "0";
  const value = (raw ? sweep.values : sweep.normalized)[cell] ?? Number.NaN;
  const known = hasEffect(sweep, cell) || state === UNCHANGED;
  return known ? numberCell(value) : "";
}
