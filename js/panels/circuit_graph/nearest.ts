// Which edge is under the pointer: points along all curves, sorted into the squares of a grid.
import { type Line, widthOf } from "./lines";

/** Between two points of a curve. */
const STEP = 5;
const SQUARE = 16;
/** How far from an edge the pointer may be. */
const NEAR = 5;

interface Points {
  xs: Float32Array;
  ys: Float32Array;
  /** Whose points they are. */
  owners: Int32Array;
}

export type Nearest = (x: number, y: number) => Line | null;

/** Of several edges within reach it is the one whose ink is nearest, and of equally near ones the strongest. */
export function nearestAmong(
  lines: readonly Line[],
  largest: number,
  width: number,
  height: number,
): Nearest {
  const [columns, rows] = [Math.floor(width / SQUARE) + 1, Math.floor(height / SQUARE) + 1];
  const column = (x: number) => Math.min(columns - 1, Math.max(0, Math.floor(x / SQUARE)));
  const row = (y: number) => Math.min(rows - 1, Math.max(0, Math.floor(y / SQUARE)));
  const { points, starts } = sorted(pointsOn(lines), (x, y) => row(y) * columns + column(x), columns * rows);
  const halves = Float32Array.from(lines, ({ edge }) => widthOf(edge, largest) / 2);
  return (x, y) => {
    let [best, least] = [-1, NEAR];
    for (let j = row(y - SQUARE); j <= row(y + SQUARE); j++) {
      const [first, last] = [j * columns + column(x - SQUARE), j * columns + column(x + SQUARE)];
      for (let i = starts[first] ?? 0; i < (starts[last + 1] ?? 0); i++) {
        const owner = points.owners[i] as number;
        const away = Math.hypot((points.xs[i] as number) - x, (points.ys[i] as number) - y);
        const gap = Math.max(0, away - (halves[owner] as number));
        if (gap < least || (gap === least && owner < best)) [best, least] = [owner, gap];
      }
    }
    return lines[best] ?? null;
  };
}

function pointsOn(lines: readonly Line[]): Points {
  const [xs, ys, owners]: [number[], number[], number[]] = [[], [], []];
  lines.forEach(({ curve }, owner) => {
    for (let i = 0; i + 7 < curve.length; i += 6) {
      const [x0, y0, x1, y1, x2, y2, x3, y3] = curve.slice(i, i + 8) as [
        ...[number, number, number, number],
        ...[number, number, number, number],
      ];
      const length =
        Math.hypot(x1 - x0, y1 - y0) + Math.hypot(x2 - x1, y2 - y1) + Math.hypot(x3 - x2, y3 - y2);
      const count = Math.max(1, Math.ceil(length / STEP));
      for (let n = 0; n <= count; n++) {
        const [t, u] = [n / count, 1 - n / count];
        const [a, b, c, d] = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t];
        xs.push(a * x0 + b * x1 + c * x2 + d * x3);
        ys.push(a * y0 + b * y1 + c * y2 + d * y3);
        owners.push(owner);
      }
    }
  });
  return { xs: Float32Array.from(xs), ys: Float32Array.from(ys), owners: Int32Array.from(owners) };
}

/** The points by their squares, and where the points of each square start. */
function sorted({ xs, ys, owners }: Points, squareOf: (x: number, y: number) => number, squares: number) {
  const at = Int32Array.from(xs, (x, i) => squareOf(x, ys[i] as number));
  const starts = new Int32Array(squares + 1);
  for (const square of at) starts[square + 1] = (starts[square + 1] as number) + 1;
  for (let i = 0; i < squares; i++) starts[i + 1] = (starts[i + 1] as number) + (starts[i] as number);
  const next = starts.slice();
  const points = {
    xs: new Float32Array(xs.length),
    ys: new Float32Array(xs.length),
    owners: new Int32Array(xs.length),
  };
  at.forEach((square, i) => {
    const to = next[square] as number;
    next[square] = to + 1;
    points.xs[to] = xs[i] as number;
    points.ys[to] = ys[i] as number;
    points.owners[to] = owners[i] as number;
  });
  return { points, starts };
}
