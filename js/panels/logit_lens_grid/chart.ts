// The geometry of a line chart: scales, ticks, paths, and end labels that do not overlap.
import { fixed } from "../../lib/format";
import { range } from "../../lib/range";
import type { Line, Quantity } from "./lines";
import { short } from "./measures";

export interface Span {
  low: number;
  high: number;
}

export interface Tick {
  value: number;
  text: string;
}

/** On a log scale rank 0 is at the top. */
const up = (quantity: Quantity, value: number): number =>
  quantity === "rank" ? -Math.log10(value + 1) : value;

export function spanOf(lines: readonly Line[], quantity: Quantity): Span {
  if (quantity === "probability") return { low: 0, high: 1 };
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { values } of lines) {
    for (const value of values[quantity]) {
      if (!Number.isFinite(value)) continue;
      low = Math.min(low, up(quantity, value));
      high = Math.max(high, up(quantity, value));
    }
  }
  if (quantity === "rank") return { low: Math.min(-1, Number.isFinite(low) ? Math.floor(low) : -1), high: 0 };
  if (!Number.isFinite(low)) return { low: 0, high: 1 };
  const step = stepOf(high - low || 1);
  return { low: Math.floor(low / step) * step, high: Math.ceil(high / step) * step || step };
}

/** A step of 1, 2 or 5 times a power of ten that gives about four ticks. */
function stepOf(width: number): number {
  const rough = width / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((n) => n * power >= rough) ?? 10);
}

/** The ticks of a scale; a scale of ranks has ticks at 0 and at powers of ten. */
export function ticksOf(span: Span, quantity: Quantity): Tick[] {
  const { low, high } = span;
  const step = quantity === "rank" ? 1 : quantity === "probability" ? 0.5 : stepOf(high - low || 1);
  return range(Math.round((high - low) / step) + 1).map((i) => {
    const at = low + i * step;
    if (quantity !== "rank") return { value: at, text: fixed(at, Number.isInteger(at) ? 0 : 1) };
    const value = at === 0 ? 0 : 10 ** -at;
    return { value, text: short(value) };
  });
}

/** A value's distance from the top, as a share of the height. */
export function heightOf(span: Span, quantity: Quantity, value: number): number {
  return (span.high - up(quantity, value)) / (span.high - span.low || 1);
}

/** An SVG path through the rows with known values, with gaps elsewhere. A value without neighbours is a line of zero
 *  length, which round caps turn into a dot. */
export function pathOf(
  values: Float32Array,
  x: (row: number) => number,
  y: (value: number) => number,
): string {
  let path = "";
  let broken = true;
  values.forEach((value, row) => {
    const point = `${x(row).toFixed(1)},${y(value).toFixed(1)}`;
    if (Number.isFinite(value)) path += broken ? `M${point}h0` : `L${point}`;
    broken = !Number.isFinite(value);
  });
  return path;
}

/** The last row whose value is known. */
export function lastKnown(values: Float32Array): number {
  for (let row = values.length - 1; row >= 0; row--) if (Number.isFinite(values[row])) return row;
  return -1;
}

/** Moves labels apart as little as possible, and keeps them between top and bottom. */
export function spread(wanted: readonly number[], gap: number, top: number, bottom: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => (wanted[a] ?? 0) - (wanted[b] ?? 0));
  const placed = [...wanted];
  let least = top;
  for (const i of order) {
    placed[i] = Math.max(least, wanted[i] ?? 0);
    least = (placed[i] ?? 0) + gap;
  }
  let most = bottom;
  for (const i of order.reverse()) {
    placed[i] = Math.min(most, placed[i] ?? 0);
    most = (placed[i] ?? 0) - gap;
  }
  return placed;
}
