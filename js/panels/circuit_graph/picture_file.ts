// The drawing of a circuit as a picture file.
import { saveFile, savePng } from "../../lib/clipboard";
import { toCss } from "../../lib/color";
import { paintFrame } from "../../lib/grid_picture";
import type { Palette } from "../../lib/theme";
import {
  type CircuitPicture,
  type Figure,
  FOOT,
  figureOf,
  LEGEND_WIDTH,
  legendOf,
  STROKE,
  TO_WORDS,
} from "./figure";
import { type Layout, NODE_HEIGHT } from "./layout";
import { largestOf, linesOf, paintEdges } from "./lines";
import { circuitSvg } from "./svg";
import { shortName } from "./words";

export function saveCircuitPng(picture: CircuitPicture): void {
  const canvas = document.createElement("canvas");
  paintFigure(canvas, figureOf(picture));
  savePng(canvas, picture.name);
}

export function saveCircuitSvg(picture: CircuitPicture): void {
  saveFile(circuitSvg(figureOf(picture)), `${picture.name}.svg`, "image/svg+xml");
}

function paintFigure(canvas: HTMLCanvasElement, figure: Figure): void {
  const { layout, edges, palette } = figure;
  const size = { width: Math.max(layout.width, LEGEND_WIDTH), height: layout.height + FOOT };
  const context = paintFrame(canvas, { ...figure, legend: null }, size);
  if (!context) return;
  paintRows(context, layout, palette);
  paintEdges(context, linesOf(layout, edges), { largest: largestOf(edges), palette });
  paintNodes(context, layout, palette);
  paintLegend(context, figure);
}

function paintLegend(context: CanvasRenderingContext2D, { layout, edges, palette }: Figure): void {
  const y = layout.height + FOOT / 2;
  context.font = `11px ${palette.ui}`;
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (const { x, ink, width, words } of legendOf(edges)) {
    context.fillStyle = toCss(palette[ink]);
    context.fillRect(x, y - width / 2, STROKE, width);
    context.fillStyle = toCss(palette.muted);
    context.fillText(words, x + TO_WORDS, y);
  }
}

function paintRows(context: CanvasRenderingContext2D, layout: Layout, palette: Palette): void {
  context.font = `11px ${palette.mono}`;
  context.textBaseline = "middle";
  for (const { layer, y } of layout.rows) {
    context.fillStyle = toCss(palette.zero);
    context.fillRect(22, y, layout.width - 22, 1);
    context.fillStyle = toCss(palette.muted);
    context.fillText(String(layer), 0, y);
  }
}

function paintNodes(context: CanvasRenderingContext2D, layout: Layout, palette: Palette): void {
  context.textAlign = "center";
  context.lineWidth = 1;
  for (const { name, x, y, width } of layout.boxes.values()) {
    context.beginPath();
    context.roundRect(x - width / 2, y - NODE_HEIGHT / 2, width, NODE_HEIGHT, 4);
    context.fillStyle = toCss(palette.bg);
    context.fill();
    context.strokeStyle = toCss(palette.faint);
    context.stroke();
    context.fillStyle = toCss(palette.fg);
    context.fillText(shortName(name), x, y + 0.5);
  }
}
