// The tokens under the columns: painted with the cells, so that both scroll as one.
import type { Tone } from "../../lib/top_tokens";
import { type CellText, cellX, type Frame, type Viewport } from "./paint";

export interface AxisLine {
  label: CellText;
  tone: Tone | null;
}

export interface Axis {
  /** By position; made when a column is first seen. */
  linesOf(position: number): readonly AxisLine[];
  inks: Record<Tone | "muted" | "fg" | "chosen", string>;
  /** The column whose label stands out. */
  active: number | null;
  /** Columns that are being chosen: [from, to). */
  chosen: readonly [number, number] | null;
}

type Context = CanvasRenderingContext2D;
const LINE = 14;

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
      paintLine(context, line, x, 4 + (i + 0.5) * LINE, cellWidth - 1);
    }
  }
}

/** Tokens that differ are underlined: colour is not alone. */
function paintLine(context: Context, { label, tone }: AxisLine, x: number, y: number, width: number): void {
  const from = x + (width - label.markWidth - label.width) / 2;
  context.globalAlpha = tone ? 0.8 : 0.6;
  context.fillText(label.mark, from, y);
  context.globalAlpha = 1;
  context.fillText(label.text, from + label.markWidth, y);
  if (tone) context.fillRect(from, y + 6, label.markWidth + label.width, 1.5);
}
