// The layout of an opened head: its cells and its tokens.
import { LABEL_SIZE } from "../../lib/grid_layout";
import { shorten, textWidth } from "../../lib/text_width";
import { visibleText } from "../../lib/tokens";

export interface MatrixLayout {
  tokens: number;
  /** The width of the row labels, and the height of the column labels. */
  gutter: number;
  /** The size of all cells together, in CSS pixels. */
  side: number;
  /** The side of a cell, which is less than a pixel when there are many tokens. */
  cell: number;
  /** How many tokens share one label. */
  stride: number;
  labels: string[];
  /** The size of the whole picture, labels included. */
  width: number;
  height: number;
}

const LARGEST_CELL = 26;
const LARGEST = 520;
/** The largest cell, so that a head with few tokens leaves room for a second head. */
const MODEST_CELL = 16;
const MODEST = 240;
const MAX_LABEL = 92;
/** The smallest distance between two labels. */
export const LABEL_PITCH = 13;
/** Room for the outlines of cells at the edge, and for the first label. */
export const EDGE = 6;

export function layoutMatrix(
  texts: readonly string[],
  room: number,
  mono: string,
  { labelled, density }: { labelled: boolean; density: number },
): MatrixLayout {
  const tokens = texts.length;
  const labels = texts.map((text) => shorten(visibleText(text), MAX_LABEL, LABEL_SIZE, mono));
  const widest = labelled
    ? labels.reduce((most, text) => Math.max(most, textWidth(text, LABEL_SIZE, mono)), 0)
    : 0;
  const gutter = Math.ceil(widest) + (labelled ? 8 : EDGE);
  const available = Math.max(120, Math.min(LARGEST, room - gutter - EDGE));
  const most = Math.min(LARGEST_CELL, Math.max(MODEST_CELL, Math.floor(MODEST / tokens)));
  const cell = Math.min(most, cellSize(available, tokens, density));
  const side = cell * tokens;
  return {
    tokens,
    gutter,
    side,
    cell,
    stride: Math.max(1, Math.ceil(LABEL_PITCH / cell)),
    labels,
    width: gutter + side + EDGE,
    height: EDGE + side + gutter,
  };
}

/** Cells of whole device pixels, unless that would leave much of the space empty. */
function cellSize(available: number, tokens: number, density: number): number {
  const whole = Math.floor((available * density) / tokens) / density;
  return whole * tokens >= 0.85 * available ? whole : available / tokens;
}

/** The cell at a point of the whole picture; null outside the cells. */
export function matrixCellAt(layout: MatrixLayout, x: number, y: number) {
  const source = Math.floor((x - layout.gutter) / layout.cell);
  const position = Math.floor((y - EDGE) / layout.cell);
  const inside = (at: number) => at >= 0 && at < layout.tokens;
  return inside(source) && inside(position) ? { position, source } : null;
}
