// Where nodes are drawn: tokens across, layers upwards, the tokens that the model expects above the last one. As dots,
// what stands at one token and in one layer is side by side; as boxes with names, one above the other.
import type { GraphNode } from "./graph";

/** What is drawn as one: a node, or the nodes of a supernode. */
export interface Unit {
  key: string;
  /** The supernode's name; null for one node. */
  group: string | null;
  nodes: readonly [GraphNode, ...GraphNode[]];
}

export interface Spot extends Unit {
  /** Of its middle. */
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Layout {
  spots: ReadonlyMap<string, Spot>;
  /** Which spot stands for a node, by its id. */
  spotOf: ReadonlyMap<string, Spot>;
  columns: readonly { position: number; x: number; width: number }[];
  rows: readonly { label: string; y: number }[];
  width: number;
  height: number;
}

export interface Shape {
  layers: number;
  /** How many tokens the prompt has. */
  tokens: number;
  /** The width that is there; a long prompt may need more. */
  width: number;
  rising: boolean;
  /** The width of a unit's box; null draws dots. */
  boxOf: ((unit: Unit) => number) | null;
}

export const DOT = 12;
export const GUTTER = 44;
const DOT_PITCH = 14;
const BOX = { height: 22, pitch: 28, gap: 12 };
const LEAST_COLUMN = 40;
const ROW = { least: 22, most: 44, wanted: 480, empty: 14 };
const EDGE = 16;

export const groupKey = (name: string): string => `= ${name}`;

/** The biases have no place; the card tells of them.
 *  @param named whether a token's box is also its position's, which has no name of its own. */
export function unitsOf(
  nodes: readonly GraphNode[],
  groups: Readonly<Record<string, readonly string[]>>,
  named = false,
): Unit[] {
  const here = new Map(nodes.map((node) => [node.id, node]));
  const units: Unit[] = [];
  for (const [name, ids] of Object.entries(groups)) {
    const [first, ...others] = ids.flatMap((id) => here.get(id) ?? []);
    if (!first) continue;
    for (const id of ids) here.delete(id);
    units.push({ key: groupKey(name), group: name, nodes: [first, ...others] });
  }
  const loose = [...here.values()];
  const tokens = new Map(loose.map((one) => [one.kind === "token" ? one.position : null, one]));
  for (const node of loose) {
    const joins = named && node.kind === "position" && tokens.has(node.position);
    if (node.kind === "bias" || joins) continue;
    const position = loose.filter((one) => one.kind === "position" && one.position === node.position);
    units.push({
      key: node.id,
      group: null,
      nodes: named && node.kind === "token" ? [node, ...position] : [node],
    });
  }
  return units;
}

export function layoutOf(units: readonly Unit[], shape: Shape): Layout {
  const { layers, tokens, boxOf } = shape;
  const cells = cellsOf(units, layers);
  const rows = rowsOf(cells, shape);
  const columns = columnsOf(cells, shape);
  const spots = new Map<string, Spot>();
  for (const { position, level, members } of cells) {
    const [column, row] = [columns[position], rows.of[level]];
    if (!column || !row) continue;
    const middle = column.x + column.width / 2;
    members.forEach((unit, i) => {
      const off = i - (members.length - 1) / 2;
      const spot = boxOf
        ? { x: middle, y: row.y + off * BOX.pitch, width: boxOf(unit), height: BOX.height }
        : { x: middle + off * DOT_PITCH, y: row.y, width: DOT, height: DOT };
      spots.set(unit.key, { ...unit, ...spot });
    });
  }
  const last = columns[tokens - 1];
  return {
    spots,
    spotOf: new Map([...spots.values()].flatMap((spot) => spot.nodes.map(({ id }) => [id, spot]))),
    columns,
    rows: rows.of.filter(({ full }) => full || !boxOf),
    width: last ? last.x + last.width : shape.width,
    height: rows.height,
  };
}

interface Cell {
  position: number;
  level: number;
  members: Unit[];
}

/** From the input at 0 to the logits above the layers. */
const levelOf = ({ kind, layer }: GraphNode, layers: number): number =>
  kind === "logit" ? layers + 1 : kind === "token" || kind === "position" ? 0 : (layer ?? 0) + 1;

function cellsOf(units: readonly Unit[], layers: number): Cell[] {
  const cells = new Map<string, Cell>();
  for (const unit of units) {
    // A supernode stands where its node of most influence is.
    const main = unit.nodes.reduce((best, node) => (node.influence > best.influence ? node : best));
    const [position, level] = [main.position ?? 0, levelOf(main, layers)];
    const cell = cells.get(`${position} ${level}`) ?? { position, level, members: [] };
    cell.members.push(unit);
    cells.set(`${position} ${level}`, cell);
  }
  return [...cells.values()];
}

function rowsOf(cells: readonly Cell[], { layers, rising, boxOf }: Shape) {
  const levels = layers + 2;
  const pitch = Math.min(ROW.most, Math.max(ROW.least, ROW.wanted / levels));
  const most = Array.from({ length: levels }, () => 0);
  for (const { level, members } of cells) most[level] = Math.max(most[level] ?? 0, members.length);
  // Boxes need room for as many as are one above the other, and empty layers hardly any.
  const heights = most.map((count) => {
    if (!boxOf) return pitch;
    return count === 0 ? ROW.empty : count * BOX.pitch + 14;
  });
  const height = 2 * EDGE + heights.reduce((sum, one) => sum + one, 0) - (boxOf ? 0 : pitch);
  let at = boxOf ? EDGE : EDGE - pitch / 2;
  const of = heights.map((one, level) => {
    const middle = at + one / 2;
    at += one;
    const label = level === 0 ? "input" : level > layers ? "logits" : String(level - 1);
    return { label, y: rising ? height - middle : middle, full: (most[level] ?? 0) > 0 };
  });
  return { of, height };
}

function columnsOf(cells: readonly Cell[], { tokens, width, boxOf }: Shape) {
  const needs = Array.from({ length: tokens }, () => LEAST_COLUMN);
  for (const { position, members } of cells) {
    const need = boxOf ? Math.max(...members.map(boxOf)) + BOX.gap : (members.length + 1) * DOT_PITCH;
    needs[position] = Math.max(needs[position] ?? 0, need);
  }
  const spare =
    Math.max(0, width - GUTTER - needs.reduce((sum, need) => sum + need, 0)) / Math.max(1, tokens);
  let x = GUTTER;
  return needs.map((need, position) => {
    const column = { position, x, width: need + spare };
    x += column.width;
    return column;
  });
}

/** The spot that an arrow key leads to: the next one beside it, or in the next row the nearest. */
export function spotBeyond({ spots }: Layout, key: string, from: Spot): Spot | null {
  const aside = { ArrowRight: 1, ArrowLeft: -1 }[key];
  const along = { ArrowDown: 1, ArrowUp: -1 }[key];
  if (!aside && !along) return null;
  const away = (spot: Spot) =>
    aside ? (spot.x - from.x) * aside : 1000 * (spot.y - from.y) * (along ?? 1) + Math.abs(spot.x - from.x);
  const ahead = [...spots.values()].filter((spot) =>
    aside ? spot.y === from.y && (spot.x - from.x) * aside > 0 : (spot.y - from.y) * (along ?? 1) > 0,
  );
  return ahead.sort((a, b) => away(a) - away(b))[0] ?? null;
}
