// Where the nodes of a circuit are drawn. A head stands in the column of its number and the row of its layer, as in every
// other view, so that it stays where it is while the circuit grows, and two circuits can be laid side by side. A layer's
// MLP stands at the right, a little higher, since it runs after the heads.
import { INPUT, LOGITS, parseNode } from "./graph";

export interface Box {
  name: string;
  /** Of its middle. */
  x: number;
  y: number;
  width: number;
  /** Of a group: how many nodes it stands for. */
  count?: number;
}

export interface Point {
  x: number;
  y: number;
}

export interface Layout {
  boxes: Map<string, Box>;
  /** Points that an edge passes through, by `routeKey`, if the arrangement leads it around nodes. */
  routes?: ReadonlyMap<string, readonly Point[]>;
  /** The labelled rows of layers, with the middle of their heads. */
  rows: { layer: number; y: number }[];
  width: number;
  height: number;
  /** -1 if the model runs upwards, 1 if it runs downwards. */
  onward: -1 | 1;
}

export const NODE_HEIGHT = 20;
export const GUTTER = 26;
const HEAD_WIDTH = 36;
const MLP_WIDTH = 50;
const PITCH = { least: 40, most: 168 };
const ROW = { least: 40, most: 54, empty: 10, wanted: 560 };
const MLP_RISE = 20;
export const EDGE = 16;
/** Heads are narrower than MLPs and the two ends. */
export const widthOfNode = (head: number | null): number => (head === null ? MLP_WIDTH : HEAD_WIDTH);

/**
 * @param nodes to be drawn.
 * @param all nodes of the model.
 * @param width that is there; a circuit of many heads may need more.
 */
export function layoutCircuit(
  nodes: readonly string[],
  all: readonly string[],
  width: number,
  rising: boolean,
): Layout {
  const drawn = nodes.map(parseNode);
  const layers = all.reduce((most, name) => Math.max(most, (parseNode(name).layer ?? -1) + 1), 0);
  const columns = columnsOf(drawn, all.map(parseNode), width);
  const used = new Set(drawn.flatMap(({ layer }) => (layer === null ? [] : [layer])));
  const ends = [INPUT, LOGITS].filter((name) => nodes.includes(name));
  const pitch = clamp(ROW.wanted / (used.size + ends.length + 1), ROW.least, ROW.most);
  // From the input on, as if the model ran downwards.
  let at = EDGE;
  const start = at;
  if (nodes.includes(INPUT)) at += pitch;
  const rows: { layer: number; y: number }[] = [];
  for (let layer = 0; layer < layers; layer++) {
    const full = used.has(layer);
    if (full) rows.push({ layer, y: at });
    at += full ? pitch : ROW.empty;
  }
  const end = nodes.includes(LOGITS) ? at : at - pitch + MLP_RISE;
  const height = Math.max(end, start) + EDGE;
  const place = (y: number) => (rising ? height - y : y);
  const yOf = new Map(rows.map(({ layer, y }) => [layer, y]));
  const middle = GUTTER + columns.span / 2;
  const boxes = new Map<string, Box>();
  for (const { name, layer, head } of drawn) {
    const width = widthOfNode(head);
    if (layer === null) boxes.set(name, { name, x: middle, y: place(name === INPUT ? start : end), width });
    else {
      const y = (yOf.get(layer) ?? 0) + (head === null ? MLP_RISE : 0);
      boxes.set(name, { name, x: head === null ? columns.mlp : columns.x(head), y: place(y), width });
    }
  }
  return {
    boxes,
    rows: rows.map(({ layer, y }) => ({ layer, y: place(y) })),
    width: columns.mlp + MLP_WIDTH / 2 + 2,
    height,
    onward: rising ? -1 : 1,
  };
}

/** All heads have a column if there is room; else only those that are drawn. */
function columnsOf(
  drawn: ReturnType<typeof parseNode>[],
  all: ReturnType<typeof parseNode>[],
  width: number,
) {
  const room = width - GUTTER - MLP_WIDTH - 12;
  const every = headsOf(all);
  const heads = every.length * PITCH.least <= room ? every : headsOf(drawn);
  const pitch = clamp(room / Math.max(1, heads.length), PITCH.least, PITCH.most);
  const index = new Map(heads.map((head, i) => [head, i]));
  const span = Math.max(1, heads.length) * pitch;
  return {
    span,
    x: (head: number) => GUTTER + ((index.get(head) ?? 0) + 0.5) * pitch,
    mlp: GUTTER + span + 8 + MLP_WIDTH / 2,
  };
}

function headsOf(nodes: ReturnType<typeof parseNode>[]): number[] {
  const heads = new Set(nodes.flatMap(({ head }) => (head === null ? [] : [head])));
  return [...heads].sort((a, b) => a - b);
}

export const clamp = (value: number, least: number, most: number) => Math.min(most, Math.max(least, value));

/** Where on a head each of its inputs is. */
const PORTS: Record<string, number> = { q: -9, k: 0, v: 9 };

export const routeKey = (from: string, to: string): string => `${from} ${to}`;

/** An edge as cubic curves, from the far side of the node that writes to the near side of the node that reads: the
 *  start, then six numbers for each curve. An edge within one column bows to the side, or it would run through the nodes
 *  between. */
export function curveBetween(layout: Layout, from: Box, to: Box, part: string): number[] {
  const { onward, routes } = layout;
  const half = (NODE_HEIGHT / 2) * onward;
  const start = { x: from.x, y: from.y + half };
  const end = { x: to.x + (PORTS[part] ?? 0), y: to.y - half };
  const route = routes?.get(routeKey(from.name, to.name));
  if (route) return curveThrough([start, ...route, end]);
  const far = Math.abs(end.y - start.y);
  const pull = Math.max(14, far * 0.45) * onward;
  const bow = Math.abs(from.x - to.x) < from.width && far > 60 ? Math.min(72, 18 + far * 0.16) : 0;
  const side = from.width === MLP_WIDTH || part === "q" ? -bow : bow;
  return [start.x, start.y, start.x + side, start.y + pull, end.x + side, end.y - pull, end.x, end.y];
}

/** Upright at each point, so that the pieces meet smoothly. */
function curveThrough(points: readonly Point[]): number[] {
  const curve: number[] = [];
  points.forEach(({ x, y }, i) => {
    const last = points[i - 1];
    const middle = (y + (last?.y ?? y)) / 2;
    if (last) curve.push(last.x, middle, x, middle);
    curve.push(x, y);
  });
  return curve;
}

export const pathOf = (curve: readonly number[]): string =>
  curve.map((n, i) => (i === 0 ? "M" : i % 6 === 2 ? "C" : " ") + n.toFixed(1)).join("");

/** The stage of the model that a node is in: -1 before the layers, infinite after them. A group is in the row that it is
 *  nearest to. */
function stageOf({ name, y, count }: Box, rows: Layout["rows"]): number {
  if (count === undefined) return parseNode(name).layer ?? (name === INPUT ? -1 : Number.POSITIVE_INFINITY);
  const away = (row: { y: number }) => Math.abs(row.y - y);
  return rows.reduce((best, row) => (away(row) < away(best) ? row : best), rows[0] ?? { layer: 0, y }).layer;
}

/** The node that an arrow key leads to: the next one of the layer, or in the next layer that is drawn the one that is
 *  nearest to the column. Null for other keys, or if there is none. */
export function nodeBeyond({ boxes, onward, rows }: Layout, name: string, key: string): string | null {
  const from = boxes.get(name);
  const aside = { ArrowRight: 1, ArrowLeft: -1 }[key];
  const along = { ArrowUp: -onward, ArrowDown: onward }[key];
  if (!from || !(aside || along)) return null;
  const stage = (box: Box) => stageOf(box, rows);
  const ahead = [...boxes.values()].filter((box) =>
    aside
      ? stage(box) === stage(from) && (box.x - from.x) * aside > 0
      : (stage(box) - stage(from)) * (along ?? 0) > 0,
  );
  const stages = ahead.map(stage);
  const next = along === -1 ? Math.max(...stages) : Math.min(...stages);
  const away = (box: Box) => Math.abs(box.x - from.x);
  const there = ahead.filter((box) => stage(box) === next).sort((a, b) => away(a) - away(b));
  return there[0]?.name ?? null;
}
