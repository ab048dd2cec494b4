// Estimated effects against exact effects: where their points are on a chart, and which cells disagree most.
import { COMPUTED } from "../../wire/requests";
import { stateOf } from "./places";
import type { Sweep } from "./result";

/** The cells that were both estimated and run, from the lowest estimate to the highest. */
export function comparedCells(sweep: Sweep): number[] {
  const cells: number[] = [];
  const { estimates, normalized } = sweep;
  if (!estimates) return cells;
  for (let cell = 0; cell < estimates.length; cell++)
    if (
      stateOf(sweep, cell) === COMPUTED &&
      Number.isFinite(estimates[cell]) &&
      Number.isFinite(normalized[cell])
    )
      cells.push(cell);
  return cells.sort((a, b) => (estimates[a] ?? 0) - (estimates[b] ?? 0));
}

export interface Chart {
  cells: number[];
  /** The largest effect or estimate of any sign, at the ends of both axes. */
  reach: number;
  /** From an effect to a distance from the left, and from the top. */
  x(estimate: number): number;
  y(effect: number): number;
}

/** A square chart of which both axes have the same scale, so that the points of perfect estimates are on its diagonal.
 *
 *  @param side of the square, in pixels. */
export function chartOf(sweep: Sweep, side: number): Chart {
  const cells = comparedCells(sweep);
  let reach = 0;
  for (const cell of cells)
    reach = Math.max(reach, Math.abs(sweep.estimates?.[cell] ?? 0), Math.abs(sweep.normalized[cell] ?? 0));
  reach ||= 1;
  const half = side / 2;
  const inner = half - 6; // so that the outermost points are not cut
  return { cells, reach, x: (e) => half + (e / reach) * inner, y: (e) => half - (e / reach) * inner };
}

/** All points as one path of lines without length, whose round ends are the points. */
export function pathOf(sweep: Sweep, { cells, x, y }: Chart): string {
  return cells
    .map((cell) => {
      const [estimate = 0, effect = 0] = [sweep.estimates?.[cell], sweep.normalized[cell]];
      return `M${x(estimate).toFixed(1)} ${y(effect).toFixed(1)}h0`;
    })
    .join("");
}

const NEAR = 12;

/** The cell whose point is nearest, if it is near. */
export function cellAt(sweep: Sweep, { cells, x, y }: Chart, left: number, top: number): number | null {
  let [nearest, least]: [number | null, number] = [null, NEAR * NEAR];
  for (const cell of cells) {
    const [estimate = 0, effect = 0] = [sweep.estimates?.[cell], sweep.normalized[cell]];
    const distance = (x(estimate) - left) ** 2 + (y(effect) - top) ** 2;
    if (distance < least) [nearest, least] = [cell, distance];
  }
  return nearest;
}

/** The cells whose estimate is furthest from their effect. */
export function furthest(sweep: Sweep, cells: readonly number[], most: number): number[] {
  const miss = (cell: number) => Math.abs((sweep.estimates?.[cell] ?? 0) - (sweep.normalized[cell] ?? 0));
  return [...cells].sort((a, b) => miss(b) - miss(a)).slice(0, most);
}
