// Draws the colour codes of heads as pixels. Cells are aligned to whole pixels, so that nothing is blurred.
import type { Colors } from "./colors";
import { NOT_A_NUMBER } from "./scale";

export interface Picture {
  pixels: Uint32Array;
  width: number;
  height: number;
}

/** Sizes in device pixels. */
export interface Square {
  left: number;
  top: number;
  side: number;
  /** The gap at the end of each cell. */
  gap: number;
}

const HATCH = 4;

/** `cells` x `cells` codes, beginning at `start`. */
export function drawCodes(
  picture: Picture,
  { left, top, side, gap }: Square,
  codes: Uint8Array,
  start: number,
  cells: number,
  colors: Colors,
): void {
  const cellAt = cellsAlong(side, cells, gap);
  const bottom = Math.min(side, picture.height - top);
  const right = Math.min(side, picture.width - left);
  for (let y = 0; y < bottom; y++) {
    const row = cellAt[y] ?? -1;
    if (row < 0) continue;
    const line = (top + y) * picture.width + left;
    for (let x = 0; x < right; x++) {
      const column = cellAt[x] ?? -1;
      if (column < 0) continue;
      const code = codes[start + row * cells + column] ?? 255;
      if (code !== NOT_A_NUMBER) picture.pixels[line + x] = colors.pixels[code] ?? 0;
      else if ((x + y) % HATCH === 0) picture.pixels[line + x] = colors.hatch;
    }
  }
}

/** The cell of each pixel; -1 in the gaps. */
export function cellsAlong(side: number, cells: number, gap: number): Int32Array {
  const along = new Int32Array(side);
  for (let i = 0; i < side; i++) {
    const cell = Math.floor((i * cells) / side);
    const last = Math.floor(((i + gap) * cells) / side) !== cell;
    along[i] = last ? -1 : cell;
  }
  return along;
}

/** The pixels of a canvas, and a function that draws them. */
export function pixelsOf(context: CanvasRenderingContext2D): { picture: Picture; show(): void } {
  const { width, height } = context.canvas;
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  return { picture: { pixels, width, height }, show: () => context.putImageData(image, 0, 0) };
}
