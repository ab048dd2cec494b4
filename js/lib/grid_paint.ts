// Draws the cells of a grid: on the screen, and with labels and legend around them for a picture file.
import { type Rgb, type Scale, toCss } from "./color";
import { cellBox, drawnRow, type GridLabel, type GridLayout, LABEL_SIZE, LINE_HEIGHT } from "./grid_layout";
import type { LegendTick } from "./legend";
import { shorten, textWidth } from "./text_width";
import type { Palette } from "./theme";
import { visibleText } from "./tokens";

export interface CellPaint {
  fill: Rgb;
  ink: Rgb;
  text: string;
}
/** null leaves the ground empty. */
export type PaintCell = (index: number) => CellPaint | null;

type Context = CanvasRenderingContext2D;
/** Canvases beyond this many pixels are refused by some browsers: a long sweep is then drawn less sharply. */
const MAX_PIXELS = 24e6;

export function sizeCanvas(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
  density: number,
): Context | null {
  const scale = Math.min(density, Math.sqrt(MAX_PIXELS / (width * height)));
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context?.scale(canvas.width / width, canvas.height / height);
  return context;
}

export function paintCells(context: Context, layout: GridLayout, paint: PaintCell, mono: string): void {
  context.font = `${LABEL_SIZE}px ${mono}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const cells = Array.from({ length: layout.rows * layout.columns }, (_, index) => paint(index));
  const room = cellBox(layout, 0).width - 4;
  // Numbers in some cells and none in others would look as if those had none: all of them, or only single signs.
  const longest = cells.reduce((widest, cell) => Math.max(widest, cell?.text.length ?? 0), 0);
  const allFit = textWidth("0".repeat(longest), LABEL_SIZE, mono) <= room;
  cells.forEach((cell, index) => {
    if (!cell) return;
    const { left, top, width, height } = cellBox(layout, index);
    context.fillStyle = toCss(cell.fill);
    context.fillRect(left, top, width, height);
    if (!allFit && cell.text.length > 1) return;
    context.fillStyle = toCss(cell.ink);
    context.fillText(cell.text, left + width / 2, top + height / 2 + 0.5);
  });
}

export interface Picture {
  title: string;
  subtitle: string;
  rows: GridLabel[];
  columns: GridLabel[];
  corner: string;
  layout: GridLayout;
  paint: PaintCell;
  legend: { scale: Scale; domain: number; ticks: LegendTick[] } | null;
  palette: Palette;
}

const EDGE = 16;
const HEAD = 48;
const LEGEND_ROOM = 96;

export function paintPicture(canvas: HTMLCanvasElement, picture: Picture): void {
  const { layout, palette } = picture;
  const cells = { width: layout.columns * layout.cellWidth, height: layout.rows * layout.cellHeight };
  const heading = textWidth(picture.subtitle, 12, palette.ui);
  const body = layout.gutter + cells.width + (picture.legend ? LEGEND_ROOM : 0);
  const width = Math.max(body, heading) + 2 * EDGE;
  const height = HEAD + cells.height + layout.footer + 2 * EDGE;
  const context = sizeCanvas(canvas, width, height, 2);
  if (!context) return;
  context.fillStyle = toCss(palette.bg);
  context.fillRect(0, 0, width, height);
  paintHeading(context, picture);
  context.translate(EDGE + layout.gutter, EDGE + HEAD);
  paintCells(context, layout, picture.paint, palette.mono);
  paintRowLabels(context, picture);
  paintColumnLabels(context, picture, cells.height);
  context.translate(cells.width + 20, 0);
  paintLegend(context, picture, cells.height);
}

function paintHeading(context: Context, { title, subtitle, palette }: Picture): void {
  context.textBaseline = "alphabetic";
  context.textAlign = "left";
  context.fillStyle = toCss(palette.fg);
  context.font = `600 13px ${palette.ui}`;
  context.fillText(title, EDGE, EDGE + 12);
  context.fillStyle = toCss(palette.muted);
  context.font = `12px ${palette.ui}`;
  context.fillText(subtitle, EDGE, EDGE + 30);
}

function paintRowLabels(context: Context, { rows, corner, layout, palette }: Picture): void {
  context.textAlign = "right";
  context.fillStyle = toCss(palette.muted);
  rows.forEach((label, row) => {
    const middle = (drawnRow(layout, row) + 0.5) * layout.cellHeight;
    context.fillText(label.lines[0]?.text ?? "", -8, middle);
  });
  context.fillText(corner, -8, layout.rows * layout.cellHeight + LINE_HEIGHT / 2 + 3);
}

function paintColumnLabels(context: Context, { columns, layout, palette }: Picture, bottom: number): void {
  const room = layout.upright ? layout.footer - 8 : layout.cellWidth - 4;
  columns.forEach((label, column) => {
    label.lines.forEach((line, row) => {
      const text = shorten(visibleText(line.text), room, LABEL_SIZE, palette.mono);
      const spread = (row - (label.lines.length - 1) / 2) * LINE_HEIGHT;
      const middle = (column + 0.5) * layout.cellWidth;
      context.save();
      context.fillStyle = toCss(line.tone ? palette[line.tone] : palette.muted);
      context.textAlign = layout.upright ? "right" : "center";
      if (layout.upright) context.translate(middle + spread, bottom + 5);
      else context.translate(middle, bottom + 3 + (row + 0.5) * LINE_HEIGHT);
      if (layout.upright) context.rotate(-Math.PI / 2);
      context.fillText(text, 0, 0);
      context.restore();
    });
  });
}

function paintLegend(context: Context, { legend, palette }: Picture, room: number): void {
  if (!legend) return;
  const height = Math.max(72, Math.min(160, room - 1));
  for (let y = 0; y < height; y++) {
    context.fillStyle = toCss(legend.scale.fill(legend.domain * (1 - (2 * y) / height)));
    context.fillRect(0, y, 8, 1);
  }
  context.font = `${LABEL_SIZE}px ${palette.ui}`;
  context.textAlign = "left";
  context.fillStyle = toCss(palette.muted);
  for (const { value, text, word } of legend.ticks) {
    const y = Math.min(height - 5, Math.max(5, ((1 - value / legend.domain) / 2) * height));
    context.fillText(word ? `${text} ${word}` : text, 14, y);
  }
}
