// How a sweep's cells look: their colour scale, its legend, and the paint of each cell.
import { divergingScale, type Scale } from "../../lib/color";
import { fixed } from "../../lib/format";
import type { CellPaint, PaintCell } from "../../lib/grid_paint";
import type { LegendScale, LegendTick } from "../../lib/legend";
import type { Palette } from "../../lib/theme";
import { COMPUTED, NO_COUNTERPART, NOT_COMPUTED, UNCHANGED } from "../../wire/requests";
import { type Board, neuronNumber } from "./board";
import { FUTURE, stateOf } from "./places";
import type { Sweep } from "./result";

const WIDEST = 2;

/** Whether both baselines have the same score, so that there is no scale from 0 to 1. */
export function isRaw({ state, values, normalized }: Sweep): boolean {
  let computed = false;
  for (let i = 0; i < state.length; i++) {
    if (state[i] !== COMPUTED) continue;
    if (Number.isFinite(normalized[i])) return false;
    computed ||= Number.isFinite(values[i]);
  }
  return computed;
}

/** The scale extends to 1, or to the largest effect if that is larger, up to 2. Single neurons have small effects, so
 *  for them it extends only to the largest effect. */
export function domainOf({ normalized, axes }: Sweep): { domain: number; clipped: boolean } {
  let largest = axes.includes("neuron") ? 0 : 1;
  for (const value of normalized) if (Math.abs(value) > largest) largest = Math.abs(value);
  return { domain: Math.min(WIDEST, largest || 1), clipped: largest > WIDEST };
}

export function legendTicks(sweep: Sweep): LegendTick[] {
  const { domain, clipped } = domainOf(sweep);
  const denoise = sweep.json.params.direction === "denoise";
  const zero = { value: 0, text: "0", word: denoise ? "corrupt" : "clean" };
  const decimals = domain < 0.095 ? 3 : domain < 1 ? 2 : domain === WIDEST ? 0 : 1;
  const end = fixed(domain, decimals);
  const ends = [
    { value: domain, text: clipped ? `\u2265 ${end}` : end },
    { value: -domain, text: clipped ? `\u2264 \u2212${end}` : `\u2212${end}` },
  ];
  if (domain < 1) return [zero, ...ends];
  const one = { value: 1, text: "1", word: denoise ? "clean" : undefined };
  const minusOne = { value: -1, text: fixed(-1, 0), word: denoise ? undefined : "corrupt" };
  return domain === 1 ? [one, zero, minusOne] : [one, zero, minusOne, ...ends];
}

export function legendOf(sweep: Sweep, palette: Palette): LegendScale {
  const { domain } = domainOf(sweep);
  return { scale: divergingScale(palette, domain), domain, ticks: legendTicks(sweep) };
}

export function intervalOf({ low, high }: Sweep, cell: number): [low: number, high: number] {
  return [low?.[cell] ?? Number.NaN, high?.[cell] ?? Number.NaN];
}

/** Whether the interval of a mean over pairs contains zero, so that there may be no effect at all. */
export function crossesZero(sweep: Sweep, cell: number): boolean {
  const [low, high] = intervalOf(sweep, cell);
  return low <= 0 && high >= 0;
}

/** Paints the cells of the grid. A neuron's cell shows its number, and its effect by colour alone. */
export function painter(sweep: Sweep, { cells }: Board, palette: Palette, raw: boolean): PaintCell {
  const { scale } = legendOf(sweep, palette);
  const neurons = sweep.axes.at(-1) === "neuron";
  return (index) => {
    const cell = cells ? (cells[index] ?? 0) : index;
    const paint = paintCell(sweep, palette, scale, raw, cell);
    return paint && neurons ? { ...paint, text: neuronNumber(sweep, cell) } : paint;
  };
}

function paintCell(
  sweep: Sweep,
  palette: Palette,
  scale: Scale,
  raw: boolean,
  cell: number,
): CellPaint | null {
  const state = stateOf(sweep, cell);
  if (state === NOT_COMPUTED || state === FUTURE) return null;
  if (state === UNCHANGED) return { fill: palette.soft, ink: palette.faint, text: "=", mark: null };
  if (state === NO_COUNTERPART) return { fill: null, ink: palette.faint, text: "", mark: "stroke" };
  const value = (raw ? sweep.values : sweep.normalized)[cell] ?? Number.NaN;
  const colored = raw || !Number.isFinite(value) ? 0 : value;
  const mark = crossesZero(sweep, cell) ? "ring" : null;
  return { fill: scale.fill(colored), ink: scale.ink(colored), text: fixed(value), mark };
}
