// The layout of a grid's cells. A grid is one panel of rows and columns, or several such panels that flow side by
// side and share their labels. Cells are numbered panel by panel, row by row.
import { plainCell } from "./table";
import { textWidth } from "./text_width";
import { visibleText } from "./tokens";
import type { Tone } from "./top_tokens";

export interface GridLabel {
  /** Tokens (or numbers), one below the other. */
  lines: { text: string; tone: Tone | null }[];
  title: string;
}

/** A label without a token. */
export const plainLabel = (text: string, title: string): GridLabel => ({
  lines: [{ text, tone: null }],
  title,
});

/** The label's text in a table. */
export const labelCell = ({ lines }: GridLabel): string =>
  plainCell(lines.map(({ text }) => visibleText(text)).join(" / "));

/** The grid to lay out. */
export interface GridShape {
  rows: GridLabel[];
  columns: GridLabel[];
  /** Titles of the panels; none if there is a single panel. */
  panels: string[];
  /** The text in the corner where row and column labels meet. */
  corner: string;
  /** Draw row 0 at the bottom. */
  flip: boolean;
  /** Draw panel 0 at the bottom. */
  rise: boolean;
  /** Allow cells too small for numbers, so that more of them are visible at once. */
  compact: boolean;
  /** Columns that are left out before the first one; a narrow strip stands for them. */
  folded?: Folded | null;
}

export interface Folded {
  /** What the strip says. */
  text: string;
  title: string;
}

export interface GridLayout {
  /** Size of one panel. */
  rows: number;
  columns: number;
  panels: number;
  /** How many panels are side by side. */
  across: number;
  cellWidth: number;
  cellHeight: number;
  /** Width of the row labels with the strip of folded columns, and of that strip alone. */
  gutter: number;
  strip?: number;
  /** Height of the column labels, and height of a panel's title. */
  footer: number;
  head: number;
  /** How column labels are drawn: upright if they don't fit side by side, and hidden if they don't fit upright either. */
  labels: "level" | "upright" | "unseen";
  flip: boolean;
  rise: boolean;
}

/** The values shared by all layouts of a single panel. */
export const ONE_PANEL = { panels: 1, across: 1, head: 0, rise: false };

export const LABEL_SIZE = 11;
export const LINE_HEIGHT = 14;
export const PANEL_GAP = 14;
export const PANEL_HEAD = 26;
/** The widths of cells with numbers: first in the size of the labels, then in a smaller one. */
const MIN_CELL = 38;
const TIGHT = { least: 33, most: MIN_CELL - 1 };
const MAX_CELL = 96;
const MAX_UPRIGHT = 72;
const MAX_GUTTER = 128;
const STRIP = 22;
/** Many rows are drawn lower, down to the height of a number, so that they fit on the screen together. */
const ROW = 24;
const LOWEST_ROW = 13;
/** Sizes of compact cells without numbers: first as wide as an upright label, then as small as can be clicked. */
const SMALL = [
  { least: 14, most: 26, height: 14 },
  { least: 9, most: 13, height: 14 },
];
/** A compact grid uses the first cell size that keeps it below this height. */
const COMFORTABLE = 600;
/** The cells of one panel are lowered until they are below this height. */
const SCREEN = 560;

const rowHeight = (rows: number): number =>
  Math.max(LOWEST_ROW, Math.min(ROW, Math.floor(SCREEN / Math.max(1, rows))));

export function layoutGrid(shape: GridShape, room: number, mono: string): GridLayout {
  const { rows, columns, corner, flip, rise } = shape;
  const width = (label: GridLabel) =>
    Math.max(...label.lines.map((line) => textWidth(visibleText(line.text), LABEL_SIZE, mono)));
  const widestRow = Math.max(...rows.map(width), textWidth(corner, LABEL_SIZE, mono), 16);
  const strip = shape.folded ? STRIP : 0;
  const gutter = Math.min(MAX_GUTTER, Math.ceil(widestRow) + 12) + strip;
  const widest = Math.max(...columns.map(width));
  const most = Math.min(MAX_CELL, Math.max(56, Math.ceil(widest) + 10));
  const height = rowHeight(rows.length);
  const apart = shape.panels.length > 0;
  const small = SMALL.map((size) => (apart ? size : { ...size, height }));
  const sizes = [{ least: MIN_CELL, most, height }, { ...TIGHT, height }, ...(shape.compact ? small : [])];
  const fits = sizes.map((size) => fit(shape, room - gutter, size));
  // What has to scroll anyway scrolls with its labels; panels get as small as they can be.
  const best = fits.find((one) => one.comfortable) ?? (shape.compact ? fits.at(apart ? -1 : -2) : fits[0]);
  const { across = 1, cellWidth = MIN_CELL, cellHeight = height } = best ?? {};
  const level = cellWidth >= Math.min(widest + 4, MAX_CELL);
  const labels = level ? "level" : cellWidth >= LABEL_SIZE + 2 ? "upright" : "unseen";
  const lines = Math.max(...columns.map((label) => label.lines.length));
  const footer =
    labels === "upright" ? Math.min(MAX_UPRIGHT, Math.ceil(widest)) + 10 : lines * LINE_HEIGHT + 8;
  const counts = { rows: rows.length, columns: columns.length, panels: Math.max(1, shape.panels.length) };
  const head = shape.panels.length > 0 ? PANEL_HEAD : 0;
  return { ...counts, across, cellWidth, cellHeight, gutter, strip, footer, head, labels, flip, rise };
}

/** Narrow columns have room for only one upright line. */
export function labelLines({ labels, cellWidth }: GridLayout, { lines }: GridLabel): GridLabel["lines"] {
  return labels === "upright" && cellWidth < 2 * LINE_HEIGHT ? lines.slice(0, 1) : lines;
}

/** As many panels side by side as fit, in bands that are as even as possible. */
function fit(shape: GridShape, room: number, size: { least: number; most: number; height: number }) {
  const [columns, panels] = [shape.columns.length, Math.max(1, shape.panels.length)];
  const possible = Math.floor((room + PANEL_GAP) / (columns * size.least + PANEL_GAP));
  const bands = Math.ceil(panels / Math.max(1, Math.min(panels, possible)));
  const across = Math.ceil(panels / bands);
  const offered = Math.floor(((room + PANEL_GAP) / across - PANEL_GAP) / columns);
  const cellWidth = Math.max(size.least, Math.min(size.most, offered));
  const height = bands * (shape.rows.length * size.height + PANEL_HEAD);
  const low = shape.panels.length === 0 || height <= COMFORTABLE;
  return { across, cellWidth, cellHeight: size.height, comfortable: possible >= 1 && low };
}

/** The distance between the origins of neighbouring panels, across and down. */
const pitch = (layout: GridLayout) => ({
  x: layout.columns * layout.cellWidth + PANEL_GAP,
  y: layout.rows * layout.cellHeight + layout.head,
});

const bandsOf = ({ panels, across }: GridLayout): number => Math.ceil(panels / across);

export function cellsSize(layout: GridLayout): { width: number; height: number } {
  const { x, y } = pitch(layout);
  return { width: layout.across * x - PANEL_GAP, height: bandsOf(layout) * y };
}

/** Row 0 is drawn at the bottom when `flip` is set; this is its own inverse. */
export function drawnRow(layout: GridLayout, row: number): number {
  return layout.flip ? layout.rows - 1 - row : row;
}

function drawnBand(layout: GridLayout, band: number): number {
  return layout.rise ? bandsOf(layout) - 1 - band : band;
}

/** The panel's column and band, from the left and from the top. */
export function drawnPanel(layout: GridLayout, panel: number): { column: number; band: number } {
  return { column: panel % layout.across, band: drawnBand(layout, Math.floor(panel / layout.across)) };
}

/** The origin of a panel's cells. */
export function panelCorner(layout: GridLayout, panel: number): { left: number; top: number } {
  const { x, y } = pitch(layout);
  const { column, band } = drawnPanel(layout, panel);
  return { left: column * x, top: band * y + layout.head };
}

export function placeOf({ rows, columns }: GridLayout, index: number) {
  const row = Math.floor(index / columns);
  return { panel: Math.floor(row / rows), row: row % rows, column: index % columns };
}

export function cellBox(layout: GridLayout, index: number) {
  const { panel, row, column } = placeOf(layout, index);
  const { left, top } = panelCorner(layout, panel);
  return {
    left: left + column * layout.cellWidth,
    top: top + drawnRow(layout, row) * layout.cellHeight,
    width: layout.cellWidth - 1,
    height: layout.cellHeight - 1,
  };
}

export function cellAt(layout: GridLayout, x: number, y: number): number | null {
  const step = pitch(layout);
  const panel = panelAt(layout, Math.floor(x / step.x), Math.floor(y / step.y));
  if (panel === null) return null;
  const { left, top } = panelCorner(layout, panel);
  const column = Math.floor((x - left) / layout.cellWidth);
  const drawn = Math.floor((y - top) / layout.cellHeight);
  if (column < 0 || column >= layout.columns || drawn < 0 || drawn >= layout.rows) return null;
  return (panel * layout.rows + drawnRow(layout, drawn)) * layout.columns + column;
}

/** The inverse of drawnPanel; null if no panel is drawn there. */
export function panelAt(layout: GridLayout, column: number, band: number): number | null {
  if (column < 0 || column >= layout.across || band < 0 || band >= bandsOf(layout)) return null;
  const panel = drawnBand(layout, band) * layout.across + column;
  return panel < layout.panels ? panel : null;
}
