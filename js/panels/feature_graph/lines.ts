// Edges as they are drawn: a curve between two spots, its width and its colour.
import { type Rgb, toCss } from "../../lib/color";
import type { Palette } from "../../lib/theme";
import type { Edge } from "./graph";
import { DOT, type Layout, type Spot } from "./layout";

export interface Line {
  from: Spot;
  to: Spot;
  /** What is added, in all. */
  weight: number;
  /** The influence that flows through. */
  flow: number;
}

/** The line of most influence first. Edges between the same two spots are one. */
export function linesOf({ spotOf }: Layout, edges: readonly Edge[]): Line[] {
  const lines = new Map<string, Line>();
  for (const edge of edges) {
    const [from, to] = [spotOf.get(edge.from.id), spotOf.get(edge.to.id)];
    if (!from || !to || from === to) continue;
    const key = `${from.key} ${to.key}`;
    const line = lines.get(key);
    if (line) {
      line.weight += edge.weight;
      line.flow += edge.flow;
    } else lines.set(key, { from, to, weight: edge.weight, flow: edge.flow });
  }
  return [...lines.values()].sort((a, b) => b.flow - a.flow);
}

const WIDEST = 5;
/** An edge that is longer leads past a box; how far aside. */
const STEP = 60;
const ARC = 20;
const BOW = 72;

/** As wide as the influence that flows through, next to the most. */
export const widthOf = ({ flow }: Line, most: number): number => Math.max(0.6, (WIDEST * flow) / (most || 1));
export const opacityOf = ({ flow }: Line, most: number): number =>
  0.12 + 0.63 * Math.sqrt(flow / (most || 1));
export const inkOf = ({ weight }: Line, { clean, corrupt }: Palette): Rgb => (weight >= 0 ? clean : corrupt);

/** From the side of a spot that faces the other: x and y of the start, two handles, the end. */
export function curveOf({
  from,
  to,
}: Line): [number, number, number, number, number, number, number, number] {
  if (from.y === to.y) {
    // Into or out of a supernode that has nodes of other layers too: over what stands between.
    const [top, over] = [from.y - from.height / 2, from.y - from.height / 2 - ARC];
    return [from.x, top, from.x, over, to.x, over, to.x, top];
  }
  const up = to.y < from.y ? -1 : 1;
  const [start, end] = [from.y + (up * from.height) / 2, to.y - (up * to.height) / 2];
  const pull = ((end - start) * 2) / 5;
  // Around the boxes between two that are one above the other.
  const span = Math.abs(end - start);
  const bow = from.height > DOT && Math.abs(from.x - to.x) < from.width && span > STEP ? BOW : 0;
  return [from.x, start, from.x + bow, start + pull, to.x + bow, end - pull, to.x, end];
}

interface Ink {
  palette: Palette;
  most: number;
  opacityOf(line: Line): number;
}

/** The lines of most influence come last, so that they lie on top. */
export function paintLines(
  context: CanvasRenderingContext2D,
  lines: readonly Line[],
  { palette, most, opacityOf }: Ink,
): void {
  context.lineCap = "round";
  for (let i = lines.length - 1; i >= 0; i--) {
    const line = lines[i] as Line;
    const [x0, y0, x1, y1, x2, y2, x3, y3] = curveOf(line);
    context.globalAlpha = opacityOf(line);
    context.lineWidth = widthOf(line, most);
    context.strokeStyle = toCss(inkOf(line, palette));
    context.beginPath();
    context.moveTo(x0, y0);
    context.bezierCurveTo(x1, y1, x2, y2, x3, y3);
    context.stroke();
  }
  context.globalAlpha = 1;
}
