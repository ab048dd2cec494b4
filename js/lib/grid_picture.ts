// A grid with its labels and its legend around it, for a picture file.
import { toCss } from "./color";
import {
  cellsSize,
  drawnRow,
  type GridLayout,
  type GridShape,
  LABEL_SIZE,
  LINE_HEIGHT,
  labelLines,
  panelCorner,
} from "./grid_layout";
import { type PaintCell, paintCells, sizeCanvas } from "./grid_paint";
import { type LegendScale, placedTicks } from "./legend";
import { shorten, shortenStart, textWidth } from "./text_width";
import type { Palette } from "./theme";
import { visibleText } from "./tokens";

type Context = CanvasRenderingContext2D;

interface Frame {
  title: string;
  subtitle: string;
  /** Lines under the subtitle. What is too long loses its start, since prompts differ towards their ends. */
  caption?: string[];
  legend: LegendScale | null;
  palette: Palette;
}

export interface Picture extends Frame {
  shape: GridShape;
  layout: GridLayout;
  paint: PaintCell;
}

/** Around a picture, and for its heading and each line below that. */
export const EDGE = 16;
export const HEAD = 48;
export const CAPTION = 16;
const LEGEND_ROOM = 96;
/** Device pixels per CSS pixel. */
export const DENSITY = 2;

export function paintPicture(canvas: HTMLCanvasElement, picture: Picture): void {
  const { layout, palette } = picture;
  const cells = cellsSize(layout);
  const size = { width: layout.gutter + cells.width, height: cells.height + layout.footer };
  const context = paintFrame(canvas, picture, size);
  if (!context) return;
  context.translate(layout.gutter, 0);
  paintCells(context, layout, picture.paint, palette.mono);
  paintFolded(context, picture, cells.height);
  paintCorner(context, picture, cells.height);
  paintPanels(context, picture);
  for (let panel = 0; panel < layout.across; panel++) {
    context.save();
    context.translate(panelCorner(layout, panel).left, 0);
    paintColumnLabels(context, picture, cells.height);
    context.restore();
  }
  context.translate(cells.width + 20, 0);
  paintLegend(context, picture, cells.height);
}

/** Draws the background and the heading of a picture. The origin of the returned context is below the heading. */
export function paintFrame(
  canvas: HTMLCanvasElement,
  frame: Frame,
  body: { width: number; height: number },
): Context | null {
  const { subtitle, legend, palette } = frame;
  const content = Math.max(body.width + (legend ? LEGEND_ROOM : 0), textWidth(subtitle, 12, palette.ui));
  const head = HEAD + CAPTION * (frame.caption?.length ?? 0);
  const [width, height] = [content + 2 * EDGE, head + body.height + 2 * EDGE];
  const context = sizeCanvas(canvas, width, height, DENSITY);
  if (!context) return null;
  context.fillStyle = toCss(palette.bg);
  context.fillRect(0, 0, width, height);
  paintHeading(context, frame, content);
  context.translate(EDGE, EDGE + head);
  return context;
}

function paintHeading(
  context: Context,
  { title, subtitle, caption = [], palette }: Frame,
  room: number,
): void {
  context.textBaseline = "alphabetic";
  context.textAlign = "left";
  context.fillStyle = toCss(palette.fg);
  context.font = `600 13px ${palette.ui}`;
  context.fillText(title, EDGE, EDGE + 12);
  context.fillStyle = toCss(palette.muted);
  context.font = `12px ${palette.ui}`;
  context.fillText(subtitle, EDGE, EDGE + 30);
  context.font = `11px ${palette.ui}`;
  for (const [i, line] of caption.entries())
    context.fillText(shortenStart(line, room, LABEL_SIZE, palette.ui), EDGE, EDGE + 30 + CAPTION * (i + 1));
}

function paintFolded(context: Context, { shape, layout, palette }: Picture, bottom: number): void {
  if (!shape.folded) return;
  const [width, height] = [(layout.strip ?? 0) - 3, bottom - layout.head - 1];
  context.fillStyle = toCss(palette.soft);
  context.fillRect(-width - 1, layout.head, width, height);
  context.save();
  context.translate(-width / 2 - 1, layout.head + height / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillStyle = toCss(palette.muted);
  context.fillText(shorten(shape.folded.text, height, LABEL_SIZE, palette.mono), 0, 0);
  context.restore();
}

function paintCorner(context: Context, { shape, layout, palette }: Picture, bottom: number): void {
  context.textAlign = "right";
  context.fillStyle = toCss(palette.muted);
  context.fillText(shape.corner, -8 - (layout.strip ?? 0), bottom + LINE_HEIGHT / 2 + 3);
}

/** The titles of the panels, and row labels beside the leftmost ones. */
function paintPanels(context: Context, { shape, layout, palette }: Picture): void {
  for (let panel = 0; panel < layout.panels; panel++) {
    const { left, top } = panelCorner(layout, panel);
    context.textAlign = "left";
    context.fillText(shape.panels[panel] ?? "", left, top - LINE_HEIGHT / 2 - 2);
    context.textAlign = "right";
    for (const [row, { lines }] of left === 0 ? shape.rows.entries() : []) {
      const room = layout.gutter - (layout.strip ?? 0) - 12;
      const text = shorten(visibleText(lines[0]?.text ?? ""), room, LABEL_SIZE, palette.mono);
      context.fillText(
        text,
        -8 - (layout.strip ?? 0),
        top + (drawnRow(layout, row) + 0.5) * layout.cellHeight,
      );
    }
  }
}

function paintColumnLabels(context: Context, { shape, layout, palette }: Picture, bottom: number): void {
  if (layout.labels === "unseen") return;
  const upright = layout.labels === "upright";
  const room = upright ? layout.footer - 8 : layout.cellWidth - 4;
  shape.columns.forEach((label, column) => {
    const lines = labelLines(layout, label);
    lines.forEach((line, row) => {
      const text = shorten(visibleText(line.text), room, LABEL_SIZE, palette.mono);
      const spread = (row - (lines.length - 1) / 2) * LINE_HEIGHT;
      const middle = (column + 0.5) * layout.cellWidth;
      context.save();
      context.fillStyle = toCss(line.tone ? palette[line.tone] : palette.muted);
      context.textAlign = upright ? "right" : "center";
      if (upright) context.translate(middle + spread, bottom + 5);
      else context.translate(middle, bottom + 3 + (row + 0.5) * LINE_HEIGHT);
      if (upright) context.rotate(-Math.PI / 2);
      context.fillText(text, 0, 0);
      context.restore();
    });
  });
}

export function paintLegend(context: Context, { legend, palette }: Frame, room: number): void {
  if (!legend) return;
  const height = Math.max(72, Math.min(160, room - 1));
  const { scale, domain, low = -domain } = legend;
  for (let y = 0; y < height; y++) {
    context.fillStyle = toCss(scale.fill(domain - ((domain - low) * y) / height));
    context.fillRect(0, y, 8, 1);
  }
  context.font = `${LABEL_SIZE}px ${palette.ui}`;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = toCss(palette.muted);
  for (const { y, text, word } of placedTicks(legend, height)) {
    context.fillText(word ? `${text} ${word}` : text, 14, y);
  }
}
