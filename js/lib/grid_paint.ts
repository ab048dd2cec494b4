// Draws the cells of a grid.
import { type Rgb, toCss } from "./color";
import type { Box } from "./grid_keys";
import { cellBox, type GridLayout, LABEL_SIZE } from "./grid_layout";
import { range } from "./range";
import { textWidth } from "./text_width";

export interface CellPaint {
  /** null leaves the background as it is. */
  fill: Rgb | null;
  ink: Rgb;
  text: string;
  /** A stroke across means "nothing to show", hatching "an estimate". */
  mark: "stroke" | "hatch" | null;
}
/** null leaves the cell empty. */
export type PaintCell = (index: number) => CellPaint | null;

type Context = CanvasRenderingContext2D;
/** Some browsers refuse canvases with more pixels than this, so a long sweep is drawn at a lower resolution. */
const MAX_PIXELS = 24e6;
const SMALLEST_TEXT = 9;

export function sizeCanvas(
  canvas: HTMLCanvasElement | OffscreenCanvas,
  width: number,
  height: number,
  density: number,
): Context | null {
  const scale = Math.min(density, Math.sqrt(MAX_PIXELS / (width * height)));
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d") as Context | null;
  context?.scale(canvas.width / width, canvas.height / height);
  return context;
}

/** Paints static content as a bitmap, which a browser without a GPU doesn't copy for every frame. */
export function paintStill(
  canvas: HTMLCanvasElement,
  size: { width: number; height: number; density: number },
  paint: (context: Context, scale: number) => void,
): void {
  const still = canvas.getContext("bitmaprenderer");
  if (!still) return;
  const sheet = new OffscreenCanvas(1, 1);
  const context = sizeCanvas(sheet, size.width, size.height, size.density);
  if (!context) return;
  paint(context, sheet.width / size.width);
  canvas.width = sheet.width;
  canvas.height = sheet.height;
  still.transferFromImageBitmap(sheet.transferToImageBitmap());
}

export function paintCells(context: Context, layout: GridLayout, paint: PaintCell, mono: string): void {
  const cells = range(layout.panels * layout.rows * layout.columns).map(paint);
  const longest = cells.reduce((widest, cell) => Math.max(widest, cell?.text.length ?? 0), 0);
  const size = textSize(layout, longest, mono);
  context.font = `${size ?? LABEL_SIZE}px ${mono}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  // If only some numbers fitted, the other cells would look empty. So draw all numbers, or only single-character marks.
  const markFits = textSize(layout, 1, mono) !== null;
  cells.forEach((cell, index) => {
    if (!cell) return;
    const box = cellBox(layout, index);
    const isMark = cell.text.length === 1 && size === null;
    paintCell(context, cell, box, size !== null || (isMark && markFits));
    if (isMark && !markFits) paintDot(context, cell, box);
  });
}

/** The largest size in which texts of this length fit into the cells; null if none does. */
function textSize(layout: GridLayout, length: number, mono: string): number | null {
  const box = cellBox(layout, 0);
  const room = ((box.width - 4) * LABEL_SIZE) / (Math.max(1, length) * textWidth("0", LABEL_SIZE, mono));
  const size = Math.min(LABEL_SIZE, Math.floor(2 * room) / 2, box.height);
  return size >= SMALLEST_TEXT ? size : null;
}

function paintCell(context: Context, cell: CellPaint, box: Box, withText: boolean): void {
  if (cell.fill) {
    context.fillStyle = toCss(cell.fill);
    context.fillRect(box.left, box.top, box.width, box.height);
  }
  if (cell.mark === "stroke") paintStroke(context, cell, box);
  if (cell.mark === "hatch") paintHatch(context, cell, box);
  if (!withText) return;
  context.fillStyle = toCss(cell.ink);
  context.fillText(cell.text, box.left + box.width / 2, box.top + box.height / 2 + 0.5);
}

function paintDot(context: Context, { ink }: CellPaint, { left, top, width, height }: Box): void {
  context.globalAlpha = 0.6;
  context.fillStyle = toCss(ink);
  context.fillRect(Math.round(left + width / 2) - 1, Math.round(top + height / 2) - 1, 2, 1);
  context.globalAlpha = 1;
}

const HATCH = { gap: 5, alpha: 0.2 };

/** Lines that go on from one cell to the next, so that an area of estimates looks like one. */
function paintHatch(context: Context, { ink }: CellPaint, { left, top, width, height }: Box): void {
  context.save();
  context.globalAlpha = HATCH.alpha;
  context.strokeStyle = toCss(ink);
  context.lineWidth = 1;
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.beginPath();
  const last = left + width + top + height;
  for (let sum = Math.ceil((left + top) / HATCH.gap) * HATCH.gap; sum < last; sum += HATCH.gap) {
    context.moveTo(sum - top, top);
    context.lineTo(sum - top - height, top + height);
  }
  context.stroke();
  context.restore();
}

function paintStroke(context: Context, { ink }: CellPaint, box: Box): void {
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  const reach = Math.min(box.width, box.height) / 4;
  context.strokeStyle = toCss(ink);
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(x - reach, y + reach);
  context.lineTo(x + reach, y - reach);
  context.stroke();
}
