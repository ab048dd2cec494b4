// Where nodes are drawn: tokens across, layers upwards, the tokens that the model expects above the last one. What stands
// at one token and in one layer is side by side; dots in as many lines as make the picture fit, boxes a few in a line.
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
  /** The width of each token of the prompt. */
  tokens: readonly number[];
  /** The width that is there; a long prompt may need more. */
  width: number;
  rising: boolean;
  /** The width of a unit's box; null draws dots. */
  boxOf: ((unit: Unit) => number) | null;
}

export const DOT = 12;
const GUTTER = 44;
const DOT_PITCH = 14;
/** Of dots in a line, where there are more; fewer would make towers. */
const LEAST_IN_LINE = 4;
const BOX = { height: 22, pitch: 30, gap: 10 };
/** Beside the last token, for edges that lead around a box. */
const BOW = 40;
const NARROW = 560;
const LEAST_COLUMN = 40;
const ROW = { least: 22, most: 80, wanted: 520, empty: 14 };
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
  const { layers, boxOf } = shape;
  const cells = cellsOf(units, layers);
  const most = mostInLine(cells, shape);
  const rows = rowsOf(cells, shape, most);
  const columns = columnsOf(cells, shape, most);
  const spots = new Map<string, Spot>();
  for (const { position, level, members } of cells) {
    const [column, row] = [columns[position], rows.of[level]];
    if (!column || !row) continue;
    const middle = column.x + column.width / 2;
    const lines = linesOf(members, most);
    const here = boxOf ? boxesAt(lines, boxOf, middle, row.y) : dotsAt(lines, middle, row.y);
    for (const spot of here) spots.set(spot.key, spot);
  }
  const last = columns.at(-1);
  return {
    spots,
    spotOf: new Map([...spots.values()].flatMap((spot) => spot.nodes.map(({ id }) => [id, spot]))),
    columns,
    rows: rows.of.filter(({ full }) => full || !boxOf),
    width: last ? last.x + last.width + (boxOf ? BOW : 0) : shape.width,
    height: rows.height,
  };
}

/** What stands at one token and in one layer, in lines that are about equally long. */
function linesOf<T>(members: readonly T[], most: number): T[][] {
  const each = Math.ceil(members.length / Math.ceil(members.length / most));
  const lines: T[][] = [];
  for (let i = 0; i < members.length; i += each) lines.push(members.slice(i, i + each));
  return lines;
}

/** How many stand in one line: of boxes a few, of dots as many as fit beside those of all other tokens. */
function mostInLine(cells: readonly Cell[], shape: Shape): number {
  if (shape.boxOf) return shape.width < NARROW ? 2 : 4;
  let most = Math.max(LEAST_IN_LINE, ...cells.map(({ members }) => members.length));
  while (most > LEAST_IN_LINE && GUTTER + sum(needsOf(cells, shape, most)) > shape.width) most -= 1;
  return most;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

const lineWidth = (line: readonly Unit[], boxOf: (unit: Unit) => number): number =>
  line.reduce((sum, unit) => sum + boxOf(unit), (line.length - 1) * BOX.gap);

function dotsAt(lines: readonly Unit[][], middle: number, y: number): Spot[] {
  return lines.flatMap((line, i) =>
    line.map((unit, j) => ({
      ...unit,
      x: middle + (j - (line.length - 1) / 2) * DOT_PITCH,
      y: y + (i - (lines.length - 1) / 2) * DOT_PITCH,
      width: DOT,
      height: DOT,
    })),
  );
}

function boxesAt(lines: readonly Unit[][], boxOf: (unit: Unit) => number, middle: number, y: number): Spot[] {
  return lines.flatMap((line, i) => {
    let x = middle - lineWidth(line, boxOf) / 2;
    return line.map((unit) => {
      const width = boxOf(unit);
      const spot = { ...unit, x: x + width / 2, y: y + (i - (lines.length - 1) / 2) * BOX.pitch };
      x += width + BOX.gap;
      return { ...spot, width, height: BOX.height };
    });
  });
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

function rowsOf(cells: readonly Cell[], shape: Shape, most: number) {
  const { layers, rising, boxOf } = shape;
  const levels = layers + 2;
  const pitch = Math.min(ROW.most, Math.max(ROW.least, ROW.wanted / levels));
  const lines = Array.from({ length: levels }, () => 0);
  for (const { level, members } of cells)
    lines[level] = Math.max(lines[level] ?? 0, linesOf(members, most).length);
  // Boxes need room for as many lines as there are, and empty layers hardly any.
  const heights = lines.map((count) => {
    if (!boxOf) return pitch + Math.max(0, count - 1) * DOT_PITCH;
    return count === 0 ? ROW.empty : count * BOX.pitch + 18;
  });
  const height = 2 * EDGE + sum(heights) - (boxOf ? 0 : pitch);
  let at = boxOf ? EDGE : EDGE - pitch / 2;
  const of = heights.map((one, level) => {
    const middle = at + one / 2;
    at += one;
    const label = level === 0 ? "input" : level > layers ? "logits" : String(level - 1);
    return { label, y: rising ? height - middle : middle, full: (lines[level] ?? 0) > 0 };
  });
  return { of, height };
}

/** The least width of each token's column. */
function needsOf(cells: readonly Cell[], { tokens, boxOf }: Shape, most: number): number[] {
  const needs = tokens.map((one) => Math.max(LEAST_COLUMN, one));
  for (const { position, members } of cells) {
    const lines = linesOf(members, most);
    const need = boxOf
      ? Math.max(...lines.map((line) => lineWidth(line, boxOf))) + 2 * BOX.gap
      : ((lines[0]?.length ?? 0) + 1) * DOT_PITCH;
    needs[position] = Math.max(needs[position] ?? 0, need);
  }
  return needs;
}

function columnsOf(cells: readonly Cell[], shape: Shape, most: number) {
  const width = shape.width - (shape.boxOf ? BOW : 0);
  const needs = needsOf(cells, shape, most);
  const spare = Math.max(0, width - GUTTER - sum(needs)) / Math.max(1, needs.length);
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
