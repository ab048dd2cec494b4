// Paints one frame of the lens: the visible cells and the tokens of their columns. It is called for every frame while the
// grid scrolls, so it allocates no objects and measures no text; frame.ts prepares its data.
import type { Box } from "../../lib/grid_keys";
import type { Tone } from "../../lib/top_tokens";

/** A token's text, cut to its cell and measured. The mark is the symbol of a leading space, drawn fainter. */
export interface CellText {
  mark: string;
  text: string;
  markWidth: number;
  width: number;
}

export interface Frame {
  /** The columns of the whole grid; a cell is row * positions + position. */
  rows: number;
  positions: number;
  /** The columns shown: [start, stop). */
  start: number;
  stop: number;
  cellWidth: number;
  cellHeight: number;
  /** Row 0 at the bottom. */
  flip: boolean;
  /** Each cell's place on the scale, 1 to 255; 0 for a cell that has not arrived. */
  shades: Uint8Array;
  /** For each shade, the background and a text colour that is readable on it. */
  fills: readonly string[];
  inks: readonly string[];
  /** The token in each cell; -1 for none. */
  ids: Int32Array;
  /** In a difference, the corrupt prompt's token if it differs; -1 if it is the same. */
  otherIds: Int32Array | null;
  /** 1 for columns without a counterpart. */
  alone: Uint8Array;
  hatch: string;
  empty: string;
  font: string;
  textOf(id: number): CellText;
}

/** The visible part of the cells, in pixels from their upper left corner. */
export type Viewport = Box;

type Context = CanvasRenderingContext2D;
/** Cells at least this high show two tokens, one below the other. */
export const STACKED = 32;
const LINE = 13;
const HATCH = 6;

export function paintFrame(context: Context, frame: Frame, view: Viewport): void {
  const { rows, start, stop, cellWidth, cellHeight, flip } = frame;
  context.clearRect(0, 0, view.width, view.height);
  context.font = frame.font;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.direction = "ltr";
  const firstRow = Math.max(0, Math.floor(view.top / cellHeight));
  const lastRow = Math.min(rows, Math.ceil((view.top + view.height) / cellHeight));
  const first = start + Math.max(0, Math.floor(view.left / cellWidth));
  const last = Math.min(stop, start + Math.ceil((view.left + view.width) / cellWidth));
  for (let drawn = firstRow; drawn < lastRow; drawn++) {
    const row = flip ? rows - 1 - drawn : drawn;
    const y = drawn * cellHeight - view.top;
    for (let position = first; position < last; position++) {
      paintCell(context, frame, row * frame.positions + position, position, cellX(frame, view, position), y);
    }
  }
}

/** Where a column begins. */
export function cellX({ start, cellWidth }: Frame, view: Viewport, position: number): number {
  return (position - start) * cellWidth - view.left;
}

function paintCell(
  context: Context,
  frame: Frame,
  cell: number,
  position: number,
  x: number,
  y: number,
): void {
  const [width, height] = [frame.cellWidth - 1, frame.cellHeight - 1];
  const shade = frame.shades[cell] ?? 0;
  context.fillStyle = shade === 0 ? frame.empty : (frame.fills[shade] ?? frame.empty);
  context.fillRect(x, y, width, height);
  if (frame.alone[position]) paintHatch(context, frame.hatch, x, y, width, height);
  const id = frame.ids[cell] ?? -1;
  if (id < 0) return;
  context.fillStyle = frame.inks[shade] ?? frame.hatch;
  const other = frame.otherIds?.[cell] ?? -1;
  const middle = y + height / 2 + 0.5;
  const stacked = other >= 0 && frame.cellHeight >= STACKED;
  paintText(context, frame.textOf(id), x, stacked ? middle - LINE / 2 : middle, width);
  if (stacked) paintText(context, frame.textOf(other), x, middle + LINE / 2, width);
  else if (other >= 0) paintCorner(context, x + width, y);
}

function paintText(context: Context, label: CellText, x: number, y: number, width: number): void {
  let at = x + (width - label.markWidth - label.width) / 2;
  if (label.mark) {
    context.globalAlpha = 0.55;
    context.fillText(label.mark, at, y);
    context.globalAlpha = 1;
    at += label.markWidth;
  }
  context.fillText(label.text, at, y);
}

/** Marks that there is a second token for which the cell has no room. */
function paintCorner(context: Context, right: number, top: number): void {
  context.beginPath();
  context.moveTo(right - 6, top);
  context.lineTo(right, top);
  context.lineTo(right, top + 6);
  context.fill();
}

function paintHatch(
  context: Context,
  ink: string,
  x: number,
  y: number,
  width: number,
  height: number,
): void {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.beginPath();
  for (let at = -height; at < width; at += HATCH) {
    context.moveTo(x + at, y + height);
    context.lineTo(x + at + height, y);
  }
  context.strokeStyle = ink;
  context.globalAlpha = 0.3;
  context.lineWidth = 1;
  context.stroke();
  context.restore();
}

export interface AxisLine {
  label: CellText;
  tone: Tone | null;
}

export interface Axis {
  /** Labels by position, created when a column is first visible. */
  linesOf(position: number): readonly AxisLine[];
  inks: Record<Tone | "muted" | "fg" | "chosen", string>;
  /** The column whose label is highlighted. */
  active: number | null;
  /** The columns being brushed: [from, to). */
  chosen: readonly [number, number] | null;
}

/** The height of a line of labels under the columns. */
const LABEL_LINE = 14;

export function paintAxis(context: Context, frame: Frame, axis: Axis, view: Viewport): void {
  const { height } = context.canvas;
  context.clearRect(0, 0, view.width, height);
  context.font = frame.font;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.direction = "ltr";
  const { start, stop, cellWidth } = frame;
  if (axis.chosen) {
    context.fillStyle = axis.inks.chosen;
    const [from, to] = axis.chosen;
    context.fillRect(cellX(frame, view, from), 0, (to - from) * cellWidth - 1, height);
  }
  const first = start + Math.max(0, Math.floor(view.left / cellWidth));
  const last = Math.min(stop, start + Math.ceil((view.left + view.width) / cellWidth));
  for (let position = first; position < last; position++) {
    const x = cellX(frame, view, position);
    const lines = axis.linesOf(position);
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i] as AxisLine;
      context.fillStyle = axis.inks[line.tone ?? (position === axis.active ? "fg" : "muted")];
      paintLine(context, line, x, 4 + (i + 0.5) * LABEL_LINE, cellWidth - 1);
    }
  }
}

/** Tokens that differ are underlined, so that colour is not the only sign. */
function paintLine(context: Context, { label, tone }: AxisLine, x: number, y: number, width: number): void {
  const from = x + (width - label.markWidth - label.width) / 2;
  context.globalAlpha = tone ? 0.8 : 0.6;
  context.fillText(label.mark, from, y);
  context.globalAlpha = 1;
  context.fillText(label.text, from + label.markWidth, y);
  if (tone) context.fillRect(from, y + 6, label.markWidth + label.width, 1.5);
}
