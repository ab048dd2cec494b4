// The colours of colour codes: pixels for canvases, and CSS for text.
import { divergingScale, type Rgb, type Scale, sequentialScale, toCss } from "../../lib/color";
import { cssColor } from "../../lib/css_color";
import type { Palette } from "../../lib/theme";
import type { ResultJson } from "./result";
import { alongAt, STEPS } from "./scale";

export interface Colors {
  /** The colour at t, from -1 to 1. */
  scale: Scale;
  /** The pixel of each code, in the machine's byte order; masked cells are transparent. */
  pixels: Uint32Array;
  /** The colour of the hatch on cells without a number. */
  hatch: number;
  fill(code: number): string;
  ink(code: number): string;
}

export function colorsOf(palette: Palette, signed: boolean, colors: ResultJson["colors"]): Colors {
  const ends = {
    ...palette,
    clean: cssColor(colors?.positive, palette.zero) ?? palette.clean,
    corrupt: cssColor(colors?.negative, palette.zero) ?? palette.corrupt,
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
