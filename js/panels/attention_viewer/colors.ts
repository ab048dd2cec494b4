// The colours of codes: as pixels for canvases, as CSS for text.
import { divergingScale, parseColor, type Rgb, type Scale, sequentialScale, toCss } from "../../lib/color";
import type { Palette } from "../../lib/theme";
import type { ResultJson } from "./result";
import { alongAt, STEPS } from "./scale";

export interface Colors {
  /** By t: -1 to 1. */
  scale: Scale;
  /** By code, as pixels in the machine's byte order; masked cells are transparent. */
  pixels: Uint32Array;
  /** What the hatch of a cell without a number is drawn with. */
  hatch: number;
  fill(code: number): string;
  ink(code: number): string;
}

export function colorsOf(palette: Palette, signed: boolean, colors: ResultJson["colors"]): Colors {
  const ends = {
    ...palette,
    clean: named(colors?.positive) ?? palette.clean,
    corrupt: named(colors?.negative) ?? palette.corrupt,
  };
  const scale = signed ? divergingScale(ends, 1) : sequentialScale(ends, 0, 1);
  const pixels = new Uint32Array(256);
  for (let code = 0; code <= STEPS; code++) pixels[code] = pixel(scale.fill(alongAt(code, signed)), 255);
  const css = (of: (t: number) => Rgb) => {
    const known: string[] = [];
    return (code: number) => {
      known[code] ??= toCss(of(alongAt(code, signed)));
      return known[code];
    };
  };
  return { scale, pixels, hatch: pixel(palette.faint, 110), fill: css(scale.fill), ink: css(scale.ink) };
}

const bytes = new Uint8ClampedArray(4);
const word = new Uint32Array(bytes.buffer);

function pixel([r, g, b]: Rgb, alpha: number): number {
  bytes.set([r, g, b, alpha]);
  return word[0] ?? 0;
}

/** Any CSS colour: a canvas converts it into numbers. */
function named(css: string | null | undefined): Rgb | null {
  if (!css) return null;
  const context = document.createElement("canvas").getContext("2d");
  if (context) context.fillStyle = css;
  const parsed = parseColor(context ? String(context.fillStyle) : css);
  return parsed && [parsed[0], parsed[1], parsed[2]];
}
