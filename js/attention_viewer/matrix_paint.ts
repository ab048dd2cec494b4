// Draws an opened head: its cells, its tokens and its marks once; the cross hairs over it as often as the mouse moves.
import { toCss } from "../lib/color";
import { LABEL_SIZE } from "../lib/grid_layout";
import { textWidth } from "../lib/text_width";
import type { Palette } from "../lib/theme";
import type { Colors } from "./colors";
import type { MarkName } from "./marks";
import { EDGE, type MatrixLayout } from "./matrix_layout";
import { drawCodes, pixelsOf } from "./pixels";
import { codesOf, type Scaling } from "./scale";
import type { Marked } from "./scene";

type Context = CanvasRenderingContext2D;

export interface MatrixScene {
  layout: MatrixLayout;
  values: Float32Array;
  scaling: Scaling;
  colors: Colors;
  palette: Palette;
  marked: readonly Marked[];
  labelled: boolean;
}

/** Cells of fewer pixels stand without a gap, and their marks are dots. */
const ROOMY = 5;
const DASHES: Record<MarkName, number[]> = { induction: [], previous: [3, 2], duplicate: [1, 2] };

export function paintMatrix(context: Context, scene: MatrixScene, density: number): void {
  const { layout, values, scaling, colors } = scene;
  const { picture, show } = pixelsOf(context);
  const side = Math.round(layout.side * density);
  const cells = Math.min(layout.tokens, side);
  const square = {
    left: Math.round(layout.gutter * density),
    top: Math.round(EDGE * density),
    side,
    gap: layout.cell >= ROOMY ? Math.round(density) : 0,
  };
  drawCodes(picture, square, codesOf(values, layout.tokens, cells, scaling), 0, cells, colors);
  show();
  paintFrame(context, scene);
  for (const mark of scene.marked) paintMarks(context, scene, mark);
  if (scene.labelled) paintLabels(context, scene);
}

/** Of dense matrices: where the masked corner ends. */
function paintFrame(context: Context, { layout, palette }: MatrixScene): void {
  if (layout.cell >= ROOMY) return;
  context.globalAlpha = 0.14;
  context.strokeStyle = toCss(palette.fg);
  context.strokeRect(layout.gutter - 0.5, EDGE - 0.5, layout.side + 1, layout.side + 1);
  context.globalAlpha = 1;
}

function paintMarks(context: Context, { layout, palette }: MatrixScene, { name, cells }: Marked): void {
  const { cell, gutter } = layout;
  const roomy = cell >= ROOMY;
  const dot = Math.max(1, cell / 3);
  const ink = toCss(palette.fg);
  context.strokeStyle = ink;
  context.fillStyle = ink;
  context.globalAlpha = roomy ? 0.7 : 0.4;
  context.setLineDash(DASHES[name] ?? []);
  for (let i = 0; i < cells.length; i += 2) {
    const [row = 0, column = 0] = [cells[i], cells[i + 1]];
    const [x, y] = [gutter + column * cell, EDGE + row * cell];
    if (roomy) context.strokeRect(x + 1, y + 1, cell - 3, cell - 3);
    else context.fillRect(x, y, dot, dot);
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

function paintLabels(context: Context, { layout, palette }: MatrixScene): void {
  prepareText(context, palette);
  context.fillStyle = toCss(palette.muted);
  for (let at = 0; at < layout.tokens; at += layout.stride) {
    rowLabel(context, layout, at);
    columnLabel(context, layout, at);
  }
}

function prepareText(context: Context, { mono }: Palette): void {
  context.font = `${LABEL_SIZE}px ${mono}`;
  context.textAlign = "right";
  context.textBaseline = "middle";
}

function rowLabel(context: Context, { labels, gutter, cell }: MatrixLayout, at: number): void {
  context.fillText(labels[at] ?? "", gutter - 5, EDGE + (at + 0.5) * cell);
}

function columnLabel(context: Context, { labels, gutter, cell, side }: MatrixLayout, at: number): void {
  context.save();
  context.translate(gutter + (at + 0.5) * cell, EDGE + side + 5);
  context.rotate(-Math.PI / 2);
  context.fillText(labels[at] ?? "", 0, 0);
  context.restore();
}

interface Cross {
  destination: number | null;
  source: number | null;
}

/** What is pointed at, as bands with the tokens' labels, and the cell that is locked. */
export function paintCross(
  context: Context,
  { layout, palette, labelled }: MatrixScene,
  active: Cross,
  locked: Cross,
): void {
  const { gutter, side, cell, width, height } = layout;
  context.clearRect(0, 0, width, height);
  context.fillStyle = toCss(palette.fg);
  const thick = Math.max(1, cell);
  context.globalAlpha = 0.09;
  if (active.destination !== null) context.fillRect(gutter, EDGE + active.destination * cell, side, thick);
  if (active.source !== null) context.fillRect(gutter + active.source * cell, EDGE, thick, side);
  context.globalAlpha = 1;
  const named = active.destination !== null || active.source !== null ? active : locked;
  if (labelled) nameCross(context, layout, palette, named);
  for (const [place, line] of [
    [locked, 2],
    [active, 1],
  ] as const) {
    if (place.destination === null || place.source === null) continue;
    outline(context, palette, gutter + place.source * cell, EDGE + place.destination * cell, thick, line);
  }
}

/** Drawn twice, ground under ink, so that it shows on any colour. */
function outline(context: Context, palette: Palette, x: number, y: number, cell: number, line: number): void {
  const size = Math.max(5, cell);
  const [left, top] = [x + (cell - size) / 2, y + (cell - size) / 2];
  for (const [ink, width] of [
    [palette.bg, line + 2],
    [palette.fg, line],
  ] as const) {
    context.strokeStyle = toCss(ink);
    context.lineWidth = width;
    context.strokeRect(left, top, size - 1, size - 1);
  }
}

/** Also those whose labels are left out, over the labels that are there. */
function nameCross(context: Context, layout: MatrixLayout, palette: Palette, { destination, source }: Cross) {
  const { gutter, side, cell, labels } = layout;
  prepareText(context, palette);
  const wide = (at: number) => textWidth(labels[at] ?? "", LABEL_SIZE, palette.mono) + 4;
  const [ground, ink] = [toCss(palette.bg), toCss(palette.fg)];
  if (destination !== null) {
    const room = Math.max(wide(destination), layout.stride > 1 ? gutter - 3 : 0);
    context.fillStyle = ground;
    context.fillRect(gutter - 3 - room, EDGE + (destination + 0.5) * cell - 7, room, 14);
    context.fillStyle = ink;
    rowLabel(context, layout, destination);
  }
  if (source !== null) {
    const room = Math.max(wide(source), layout.stride > 1 ? gutter - 3 : 0);
    context.fillStyle = ground;
    context.fillRect(gutter + (source + 0.5) * cell - 7, EDGE + side + 3, 14, room);
    context.fillStyle = ink;
    columnLabel(context, layout, source);
  }
}
