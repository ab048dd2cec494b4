// Draws an opened head: its cells, its tokens and its marks.
import { toCss } from "../../lib/color";
import { LABEL_SIZE } from "../../lib/grid_layout";
import type { Palette } from "../../lib/theme";
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

/** Cells smaller than this have no gap between them, and their marks are dots. */
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

/** In a dense matrix, a frame shows where the masked corner ends. */
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
  const { labels, gutter, cell, side } = layout;
  context.font = `${LABEL_SIZE}px ${palette.mono}`;
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.fillStyle = toCss(palette.muted);
  for (let at = 0; at < layout.tokens; at += layout.stride) {
    const text = labels[at] ?? "";
    context.fillText(text, gutter - 5, EDGE + (at + 0.5) * cell);
    context.save();
    context.translate(gutter + (at + 0.5) * cell, EDGE + side + 5);
    context.rotate(-Math.PI / 2);
    context.fillText(text, 0, 0);
    context.restore();
  }
}
