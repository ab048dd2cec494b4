// Where the cells of a grid go: row 0 at the bottom or the top, columns as wide as their labels want and fit.
import { textWidth } from "./text_width";
import { visibleText } from "./tokens";
import type { Tone } from "./top_tokens";

export interface GridLabel {
  /** Tokens (or numbers) shown under each other. */
  lines: { text: string; tone: Tone | null }[];
  title: string;
}

export interface GridLayout {
  rows: number;
  columns: number;
  cellWidth: number;
  cellHeight: number;
  /** Width of the row labels, height of the column labels. */
  gutter: number;
  footer: number;
  /** Column labels stand upright where they would not fit side by side. */
  upright: boolean;
  flip: boolean;
}

export const LABEL_SIZE = 11;
export const LINE_HEIGHT = 14;
const MIN_CELL = 38;
const MAX_CELL = 96;
const MAX_UPRIGHT = 72;
/** More rows than this are drawn lower, so that a sweep over all heads stays on the screen. */
const MANY_ROWS = 40;

export function layoutGrid(
  rows: GridLabel[],
  columns: GridLabel[],
  options: { room: number; flip: boolean; corner: string; mono: string },
): GridLayout {
  const { room, flip, corner, mono } = options;
  const width = (label: GridLabel) =>
    Math.max(...label.lines.map((line) => textWidth(visibleText(line.text), LABEL_SIZE, mono)));
  const gutter = Math.ceil(Math.max(...rows.map(width), textWidth(corner, LABEL_SIZE, mono), 16)) + 12;
  const widest = Math.max(...columns.map(width));
  const wanted = Math.min(MAX_CELL, Math.max(56, Math.ceil(widest) + 10));
  const offered = Math.floor((room - gutter) / columns.length);
  const cellWidth = Math.max(MIN_CELL, Math.min(wanted, offered));
  const upright = cellWidth < Math.min(widest + 4, MAX_CELL);
  const lines = Math.max(...columns.map((label) => label.lines.length));
  const footer = upright ? Math.min(MAX_UPRIGHT, Math.ceil(widest)) + 10 : lines * LINE_HEIGHT + 8;
  const cellHeight = rows.length > MANY_ROWS ? 16 : 24;
  return { rows: rows.length, columns: columns.length, cellWidth, cellHeight, gutter, footer, upright, flip };
}

/** Row 0 is drawn at the bottom when `flip` is set; this is its own inverse. */
export function drawnRow(layout: GridLayout, row: number): number {
  return layout.flip ? layout.rows - 1 - row : row;
}

export function cellBox(layout: GridLayout, index: number) {
  const row = Math.floor(index / layout.columns);
  return {
    left: (index % layout.columns) * layout.cellWidth,
    top: drawnRow(layout, row) * layout.cellHeight,
    width: layout.cellWidth - 1,
    height: layout.cellHeight - 1,
  };
}

export function cellAt(layout: GridLayout, x: number, y: number): number | null {
  const column = Math.floor(x / layout.cellWidth);
  const drawn = Math.floor(y / layout.cellHeight);
  if (column < 0 || column >= layout.columns || drawn < 0 || drawn >= layout.rows) return null;
  return drawnRow(layout, drawn) * layout.columns + column;
}

/** The cell that a key leads to, or null where the key means nothing to a grid. */
export function cellAfterKey(layout: GridLayout, index: number, key: string): number | null {
  const column = index % layout.columns;
  const row = Math.floor(index / layout.columns);
  const up = layout.flip ? 1 : -1;
  const at = (r: number, c: number) =>
    Math.min(layout.rows - 1, Math.max(0, r)) * layout.columns + Math.min(layout.columns - 1, Math.max(0, c));
  switch (key) {
    case "ArrowLeft":
      return at(row, column - 1);
    case "ArrowRight":
      return at(row, column + 1);
    case "ArrowUp":
      return at(row + up, column);
    case "ArrowDown":
      return at(row - up, column);
    case "Home":
      return at(row, 0);
    case "End":
      return at(row, layout.columns - 1);
    default:
      return null;
  }
}
