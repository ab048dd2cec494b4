// How a sweep's cells look: their colour scale, its legend, and the paint of each cell.
import { blend, divergingScale, readableInk, type Scale } from "../../lib/color";
import { among, decimalsFor, fixed, metricValue } from "../../lib/format";
import type { CellPaint, PaintCell } from "../../lib/grid_paint";
import type { LegendScale, LegendTick } from "../../lib/legend";
import type { Palette } from "../../lib/theme";
import { COMPUTED, ESTIMATE, NO_COUNTERPART, NOT_COMPUTED, UNCHANGED } from "../../wire/requests";
import { type Board, neuronNumber } from "./board";
import { baseRun, FUTURE, hasEffect, stateOf } from "./places";
import type { Sweep } from "./result";

const WIDEST = 2;
/** The colours of a difference reach at least this far, so that smaller ones stay pale; as in Python. */
const LEAST_DIFFERENCE = 0.1;
/** How much is left of the colour of a cell whose mean may be zero. */
const FADED = 0.35;

export type Units = "normalized" | "raw";

/** How the cells of a sweep are shown. */
export interface Look {
  /** Whether there is a scale from 0 to 1, and so a colour. */
  scaled: boolean;
  /** Whether cells show the metric's own values. */
  raw: boolean;
  /** The effect at the ends of the colour scale; null if it follows from the effects. */
  limit: number | null;
}

export function lookOf(sweep: Sweep, units: Units = "normalized", limit: number | null = null): Look {
  const { terms, values } = sweep;
  const scaled = !isRaw(sweep);
  // The difference of two metrics has no raw value.
  const hasRaw = !terms || values.some(Number.isFinite);
  return { scaled, raw: !scaled || (units === "raw" && hasRaw), limit };
}

/** Whether both baselines have the same score, so that there is no scale from 0 to 1. */
export function isRaw({ state, values, normalized }: Sweep): boolean {
  let computed = false;
  for (let i = 0; i < state.length; i++) {
    if (state[i] !== COMPUTED && state[i] !== ESTIMATE) continue;
    if (Number.isFinite(normalized[i])) return false;
    computed ||= Number.isFinite(values[i]);
  }
  return computed;
}

/** The scale extends to 1, or to the largest effect if that is larger, up to 2. Single neurons have small effects, so
 *  for them it extends only to the largest effect. */
export function domainOf({ normalized, axes, terms }: Sweep, limit: number | null = null) {
  let largest = axes.includes("neuron") ? 0 : terms ? LEAST_DIFFERENCE : 1;
  for (const value of normalized) if (Math.abs(value) > largest) largest = Math.abs(value);
  const domain = limit ?? Math.min(WIDEST, largest || 1);
  return { domain, clipped: largest > domain };
}

/** The ticks in the units that the cells show; colours are those of the effects in either. */
export function legendTicks(sweep: Sweep, { raw, limit }: Pick<Look, "raw" | "limit">): LegendTick[] {
  const { domain, clipped } = domainOf(sweep, limit);
  // A raw difference is no effect times a gap, since each map has a gap of its own.
  if (sweep.terms)
    return [0, domain, -domain].map((value) => {
      const bound = value === 0 || !clipped ? "" : value > 0 ? "\u2265 " : "\u2264 ";
      return { value, text: bound + effectAt(value) };
    });
  const denoise = sweep.json.params.direction === "denoise";
  const { clean, corrupt } = sweep.json.baselines;
  const [base, gap] = [sweep.json.baselines[baseRun(sweep)] ?? 0, (clean ?? 0) - (corrupt ?? 0)];
  const { metric } = sweep.json.params;
  const tick = (value: number, bound = "", word?: string): LegendTick => {
    const text = raw ? metricValue(metric, base + value * gap) : effectAt(value);
    return { value, text: bound + text, word };
  };
  const zero = tick(0, "", denoise ? "corrupt" : "clean");
  const [above, below] = gap < 0 && raw ? ["\u2264 ", "\u2265 "] : ["\u2265 ", "\u2264 "];
  const ends = [tick(domain, clipped ? above : ""), tick(-domain, clipped ? below : "")];
  if (domain < 1) return [zero, ...ends];
  const one = tick(1, domain === 1 && clipped ? above : "", denoise ? "clean" : undefined);
  const minusOne = tick(-1, domain === 1 && clipped ? below : "", denoise ? undefined : "corrupt");
  return domain === 1 ? [one, zero, minusOne] : [one, zero, minusOne, ...ends];
}

/** An effect on the legend: whole numbers without decimals. */
function effectAt(value: number): string {
  if (Number.isInteger(value)) return fixed(value, 0);
  const size = Math.abs(value);
  return size > 1 ? fixed(value, 1) : among(size, value);
}

export function legendOf(sweep: Sweep, palette: Palette, look: Look): LegendScale {
  const { domain } = domainOf(sweep, look.limit);
  return { scale: divergingScale(palette, domain), domain, ticks: legendTicks(sweep, look) };
}

export function intervalOf({ low, high }: Sweep, cell: number): [low: number, high: number] {
  return [low?.[cell] ?? Number.NaN, high?.[cell] ?? Number.NaN];
}

/** Whether the interval of a mean over pairs contains zero, so that there may be no effect at all. */
export function crossesZero(sweep: Sweep, cell: number): boolean {
  const [low, high] = intervalOf(sweep, cell);
  return low <= 0 && high >= 0;
}

/** How many cells are faded because the interval of their mean contains zero. */
export function countFaded(sweep: Sweep): number {
  let faded = 0;
  for (let cell = 0; cell < sweep.state.length; cell++) if (isFaded(sweep, cell)) faded++;
  return faded;
}

const isFaded = (sweep: Sweep, cell: number): boolean => hasEffect(sweep, cell) && crossesZero(sweep, cell);

/** Paints the cells of the grid. A neuron's cell shows its number, and its effect by colour alone. */
export function painter(sweep: Sweep, { cells }: Board, palette: Palette, look: Look): PaintCell {
  const { scale } = legendOf(sweep, palette, look);
  const textOf = cellText(sweep, look);
  const neurons = sweep.axes.at(-1) === "neuron";
  return (index) => {
    const cell = cells ? (cells[index] ?? 0) : index;
    const paint = paintCell(sweep, palette, scale, look, cell);
    return paint && { ...paint, text: paint.text ?? (neurons ? neuronNumber(sweep, cell) : textOf(cell)) };
  };
}

/** The number in a cell. All of a map's numbers have the same decimals. */
export function cellText(sweep: Sweep, { raw, limit }: Look): (cell: number) => string {
  const numbers = raw ? sweep.values : sweep.normalized;
  if (raw && sweep.json.params.metric === "rank") return (cell) => fixed(numbers[cell], sweep.pairs ? 1 : 0);
  let largest = 0;
  for (const value of numbers)
    if (Number.isFinite(value) && Math.abs(value) > largest) largest = Math.abs(value);
  const decimals = decimalsFor(raw ? largest : domainOf(sweep, limit).domain);
  return (cell) => (decimals > 5 ? among(largest, numbers[cell]) : fixed(numbers[cell], decimals));
}

/** A cell's paint; without a text if that is the cell's number. */
function paintCell(
  sweep: Sweep,
  palette: Palette,
  scale: Scale,
  { scaled }: Look,
  cell: number,
): (Omit<CellPaint, "text"> & { text?: string }) | null {
  const state = stateOf(sweep, cell);
  if (state === NOT_COMPUTED || state === FUTURE) return null;
  if (state === UNCHANGED) return { fill: palette.soft, ink: palette.faint, text: "=", mark: null };
  if (state === NO_COUNTERPART) return { fill: null, ink: palette.faint, text: "", mark: "stroke" };
  const effect = sweep.normalized[cell] ?? Number.NaN;
  const colored = scaled && Number.isFinite(effect) ? effect : 0;
  const mark = state === ESTIMATE ? "hatch" : null;
  if (!isFaded(sweep, cell)) return { fill: scale.fill(colored), ink: scale.ink(colored), mark };
  const fill = blend(palette.bg, scale.fill(colored), FADED);
  return { fill, ink: readableInk(fill, palette.faint), mark };
}
