// Edges as they are drawn: a curve for each node that an edge leads to, its width and its colour.
import { type Rgb, toCss } from "../../lib/color";
import type { Palette } from "../../lib/theme";
import { drawnTo, type Edge } from "./graph";
import { curveBetween, type Layout } from "./layout";

export interface Line {
  edge: Edge;
  /** The node that it is drawn to. */
  to: string;
  /** As `curveBetween` gives it. */
  curve: readonly number[];
}

export interface Shades {
  /** The size of the edge that is drawn widest. */
  largest: number;
  palette: Palette;
}

export function linesOf(layout: Layout, edges: readonly Edge[]): Line[] {
  const sends = new Set(edges.map(({ from }) => from));
  return edges.flatMap((edge) =>
    drawnTo(edge, sends).flatMap((name) => {
      const [from, to] = [layout.boxes.get(edge.from), layout.boxes.get(name)];
      return from && to ? [{ edge, to: name, curve: curveBetween(layout, from, to, edge.part) }] : [];
    }),
  );
}

export const sizeOf = ({ share, score }: Edge): number =>
  Math.abs(Number.isFinite(share) ? share : score) || 0;
const isFor = ({ share, score }: Edge): boolean => (Number.isFinite(share) ? share : score) >= 0;
export const largestOf = (edges: readonly Edge[]): number =>
  edges.reduce((most, edge) => Math.max(most, sizeOf(edge)), 0);

export const WIDEST = 7;
export const widthOf = (edge: Edge, largest: number): number =>
  Math.max(0.7, (WIDEST * sizeOf(edge)) / (largest || 1));
export const inkOf = (edge: Edge, { clean, corrupt }: Palette): Rgb => (isFor(edge) ? clean : corrupt);

const FULL = 0.8;
/** From this many edges on, weak ones fade, or they would hide the strong ones. */
const MANY = 150;
const WEAKEST = 0.1;

/** How opaque an edge is among as many. */
export function opacityOf(edge: Edge, largest: number, count: number): number {
  if (count <= MANY) return FULL;
  const part = Math.sqrt(sizeOf(edge) / (largest || 1));
  const least = FULL + (WEAKEST - FULL) * Math.min(1, Math.log(count / MANY) / Math.log(10));
  return Math.min(FULL, least + (FULL - least) * 2 * part);
}

/** The strongest edges last, so that they lie on top. */
/** Of edges that only the kept one of two circuits has. */
export const DASHES = [6, 4];

export function paintEdges(context: CanvasRenderingContext2D, lines: readonly Line[], shades: Shades): void {
  context.lineCap = "round";
  for (let i = lines.length - 1; i >= 0; i--) {
    const line = lines[i] as Line;
    paintLine(context, line, shades, opacityOf(line.edge, shades.largest, lines.length));
  }
  context.globalAlpha = 1;
}

export function paintLine(
  context: CanvasRenderingContext2D,
  { edge, curve }: Line,
  { largest, palette }: Shades,
  opacity: number,
): void {
  const at = (i: number) => curve[i] as number;
  context.lineWidth = widthOf(edge, largest);
  context.strokeStyle = toCss(inkOf(edge, palette));
  context.globalAlpha = opacity;
  context.setLineDash(edge.kept ? DASHES : []);
  context.beginPath();
  context.moveTo(at(0), at(1));
  for (let i = 2; i + 5 < curve.length; i += 6)
    context.bezierCurveTo(at(i), at(i + 1), at(i + 2), at(i + 3), at(i + 4), at(i + 5));
  context.stroke();
}
