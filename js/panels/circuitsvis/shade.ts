// The colour of a value: blue (or the given colour) above zero and orange below, from the background colour at zero to
// full strength at an end of the scale.
import { useMemo } from "preact/hooks";
import { divergingScale, toCss } from "../../lib/color";
import { cssColor } from "../../lib/css_color";
import { type Palette, usePalette } from "../../lib/theme";
import type { Colors, Extremes } from "./figure";

export interface Shade extends Extremes {
  /** The value's place on the scale, from -1 to 1; NaN if there is no number. */
  share(value: number): number;
  fill(value: number): string;
  ink(value: number): string;
  /** Given colours that the browser doesn't know. */
  unknown: string[];
}

export function useShade(low: number, high: number, colors: Colors = NONE): Shade {
  const palette = usePalette();
  const { positive, negative } = colors;
  return useMemo(
    () => makeShade(palette, { low, high }, { positive, negative }),
    [palette, low, high, positive, negative],
  );
}

const NONE: Colors = { positive: null, negative: null };

export function makeShade(palette: Palette, { low, high }: Extremes, { positive, negative }: Colors): Shade {
  const clean = cssColor(positive, palette.zero);
  const corrupt = cssColor(negative, palette.zero);
  const ends = { ...palette, clean: clean ?? palette.clean, corrupt: corrupt ?? palette.corrupt };
  const scale = divergingScale(ends, 1);
  const share = (value: number) => shareOf(value, low, high);
  const unknown = [positive && !clean ? positive : "", negative && !corrupt ? negative : ""].filter(Boolean);
  return {
    low,
    high,
    share,
    fill: (value) => toCss(scale.fill(share(value))),
    ink: (value) => toCss(scale.ink(share(value))),
    unknown,
  };
}

export function shareOf(value: number, low: number, high: number): number {
  if (Number.isNaN(value)) return value;
  if (value === 0 || (value > 0 ? high <= 0 : low >= 0)) return 0;
  return value > 0 ? Math.min(1, value / high) : -Math.min(1, value / low);
}
