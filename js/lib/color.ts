// Colours for canvases: clean is blue, corrupt is orange, and no effect is the neutral background.

export type Rgb = readonly [number, number, number];

const WHITE: Rgb = [255, 255, 255];
const BLACK: Rgb = [0, 0, 0];
/** WCAG AA for text. */
const READABLE = 4.5;
/** Finer than the 256 levels of a channel. */
const STEPS = 1000;

export interface Scale {
  fill(value: number): Rgb;
  ink(value: number): Rgb;
}

/** A diverging scale from -domain (corrupt) through 0 (zero) to domain (clean). Values beyond the domain are clamped. */
export function divergingScale(
  ends: { clean: Rgb; corrupt: Rgb; zero: Rgb; fg: Rgb },
  domain: number,
): Scale {
  const share = (value: number) => Math.max(-1, Math.min(1, value / domain));
  return scaleOf(ends.fg, share, (t) => blend(ends.zero, t < 0 ? ends.corrupt : ends.clean, Math.abs(t)));
}

/** A scale of one hue: from the background at `from` to full blue at `to`, which may be less than `from`. */
export function sequentialScale(ends: { clean: Rgb; zero: Rgb; fg: Rgb }, from: number, to: number): Scale {
  const share = (value: number) => Math.min(1, Math.max(0, (value - from) / (to - from)));
  return scaleOf(ends.fg, share, (t) => blend(ends.zero, ends.clean, t));
}

/** Colours of a share from -1 to 1, each computed once: a map has thousands of cells, and is painted while it fills. */
function scaleOf(foreground: Rgb, share: (value: number) => number, colorOf: (share: number) => Rgb): Scale {
  const known = new Map<number, { fill: Rgb; ink: Rgb }>();
  const at = (value: number) => {
    const step = Math.round(STEPS * share(value));
    let color = known.get(step);
    if (!color) {
      const fill = colorOf(step / STEPS);
      color = { fill, ink: readableInk(fill, foreground) };
      known.set(step, color);
    }
    return color;
  };
  return { fill: (value) => at(value).fill, ink: (value) => at(value).ink };
}

/** The theme's text colour if it is readable on this background; otherwise black or white, whichever is. */
export function readableInk(ground: Rgb, preferred: Rgb): Rgb {
  if (contrast(ground, preferred) >= READABLE) return preferred;
  return contrast(ground, WHITE) >= contrast(ground, BLACK) ? WHITE : BLACK;
}

export function contrast(a: Rgb, b: Rgb): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

export function luminance([r, g, b]: Rgb): number {
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

export function toCss(color: Rgb): string {
  return `rgb(${color.map(Math.round)})`;
}

/** A computed CSS colour as [r, g, b, alpha]; null if it is not in a form that browsers compute. */
export function parseColor(text: string): readonly [number, number, number, number] | null {
  const hex = /^#([0-9a-f]{6})$/i.exec(text.trim());
  if (hex?.[1]) {
    const n = Number.parseInt(hex[1], 16);
    return [n >> 16, (n >> 8) & 255, n & 255, 1];
  }
  const call = /^(rgba?|color)\((.*)\)$/.exec(text.trim());
  const numbers =
    (call?.[2] ?? "")
      .replace("srgb", "")
      .match(/-?[\d.]+(e-?\d+)?/g)
      ?.map(Number) ?? [];
  const [r, g, b, alpha = 1] = numbers;
  if (r === undefined || g === undefined || b === undefined) return null;
  // color-mix() computes to color(srgb r g b), whose channels run from 0 to 1.
  const unit = call?.[1] === "color" ? 255 : 1;
  return [r * unit, g * unit, b * unit, alpha];
}

export function overlay(top: readonly [number, number, number, number], ground: Rgb): Rgb {
  const alpha = top[3];
  return [0, 1, 2].map((i) => (top[i] ?? 0) * alpha + (ground[i] ?? 0) * (1 - alpha)) as unknown as Rgb;
}

/** Mixes in OKLab, where equal steps look equal. The result is rounded as it will be painted, so that the text colour
 *  is chosen for the colour that is seen. */
export function blend(a: Rgb, b: Rgb, t: number): Rgb {
  const [p, q] = [toOklab(a), toOklab(b)];
  return fromOklab([p[0] + (q[0] - p[0]) * t, p[1] + (q[1] - p[1]) * t, p[2] + (q[2] - p[2]) * t]);
}

function linear(channel: number): number {
  const c = channel / 255;
  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
}

function gamma(c: number): number {
  const encoded = c <= 0.0031308 ? c * 12.92 : 1.055 * c ** (1 / 2.4) - 0.055;
  return Math.round(Math.min(255, Math.max(0, encoded * 255)));
}

function toOklab([r255, g255, b255]: Rgb): Rgb {
  const [r, g, b] = [linear(r255), linear(g255), linear(b255)];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function fromOklab([L, a, b]: Rgb): Rgb {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    gamma(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    gamma(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    gamma(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}
