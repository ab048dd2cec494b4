// Draws the pictures of all heads on one canvas.
import { toCss } from "../../lib/color";
import type { Palette } from "../../lib/theme";
import type { Colors } from "./colors";
import { drawCodes, pixelsOf } from "./pixels";
import type { ThumbSource } from "./thumb_codes";
import { type ThumbLayout, thumbBox } from "./thumb_layout";

export interface ThumbScene {
  layout: ThumbLayout;
  /** Index of the head in each place. */
  heads: readonly number[];
  source: ThumbSource;
  colors: Colors;
  palette: Palette;
  /** Marked cells, pairs of row and column of a picture; only where its cells are the tokens. */
  marked: readonly Int32Array[];
}

export function paintThumbs(context: CanvasRenderingContext2D, scene: ThumbScene, density: number): void {
  const { layout, heads, source, colors } = scene;
  const { picture, show } = pixelsOf(context);
  const side = Math.round(layout.thumb * density);
  const cells = Math.min(source.cells, side);
  heads.forEach((head, place) => {
    const box = thumbBox(layout, place);
    const square = { left: Math.round(box.left * density), top: Math.round(box.top * density), side, gap: 0 };
    drawCodes(picture, square, source.codes(head, cells), 0, cells, colors);
  });
  show();
  for (let place = 0; place < heads.length; place++) paintOver(context, scene, place);
}

/** The frame, so that an empty corner belongs to its head, and the marks. */
function paintOver(context: CanvasRenderingContext2D, scene: ThumbScene, place: number): void {
  const { layout, source, palette, marked } = scene;
  const { left, top, width } = thumbBox(layout, place);
  const ink = toCss(palette.fg);
  context.globalAlpha = 0.14;
  context.strokeStyle = ink;
  context.lineWidth = 1;
  // On the picture's own edge: pictures of a large model are too close for frames of their own.
  if (width >= 20) context.strokeRect(left - 0.5, top - 0.5, width + 1, width + 1);
  const cell = width / source.cells;
  const dot = Math.max(1, Math.min(2, cell / 3));
  context.globalAlpha = 0.5;
  context.fillStyle = ink;
  for (const cells of cell >= 2 ? marked : []) {
    for (let i = 0; i < cells.length; i += 2) {
      const [row = 0, column = 0] = [cells[i], cells[i + 1]];
      context.fillRect(left + (column + 0.5) * cell - dot / 2, top + (row + 0.5) * cell - dot / 2, dot, dot);
    }
  }
  context.globalAlpha = 1;
}
