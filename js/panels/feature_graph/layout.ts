// Where nodes are drawn: tokens across, layers upwards, the tokens that the model expects at the end of the last column.
// What stands at one token and in one layer is side by side, and a column is as wide as its fullest layer needs.
import type { Graph, GraphNode } from "./graph";

export interface Spot {
  /** The names of the nodes that it stands for: one, or those of a supernode. */
  nodes: readonly GraphNode[];
  /** The supernode's name; null for one node. */
  group: string | null;
  key: string;
  x: number;
  y: number;
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

export const DOT = 12;
export const GUTTER = 44;
const PITCH = 14;
const LEAST_COLUMN = 40;
const ROW = { least: 22, most: 44, wanted: 480 };
const TOP = 14;

export const groupKey = (name: string): string => `= ${name}`;

/** @param width that is there; a long prompt may need more. */
export function layoutOf(
  graph: Graph,
  nodes: readonly GraphNode[],
  groups: Readonly<Record<string, readonly string[]>>,
  width: number,
  rising: boolean,
): Layout {
  const { json } = graph;
  const levels = json.n_layers + 2;
  const pitch = Math.min(ROW.most, Math.max(ROW.least, ROW.wanted / levels));
  const height = 2 * TOP + (levels - 1) * pitch;
  const yOf = (level: number) => (rising ? height - TOP - level * pitch : TOP + level * pitch);
  const cells = cellsOf(json.n_layers, units(nodes, groups));
  const columns = columnsOf(json.prompt.ids.length, cells, width);
  const spots = new Map<string, Spot>();
  for (const { position, level, members } of cells.values()) {
    const column = columns[position];
    if (!column) continue;
    members.forEach((unit, i) => {
      const x = column.x + column.width / 2 + (i - (members.length - 1) / 2) * PITCH;
      spots.set(unit.key, { ...unit, x, y: yOf(level) });
    });
  }
  const last = columns.at(-1);
  return {
    spots,
    spotOf: new Map([...spots.values()].flatMap((spot) => spot.nodes.map(({ id }) => [id, spot] as const))),
    columns,
    rows: rowsOf(json.n_layers).map(({ label, level }) => ({ label, y: yOf(level) })),
    width: last ? last.x + last.width : width,
    height,
  };
}

const rowsOf = (layers: number) => [
  { label: "input", level: 0 },
  ...Array.from({ length: layers }, (_, layer) => ({ label: String(layer), level: layer + 1 })),
  { label: "logits", level: layers + 1 },
];

type Unit = Omit<Spot, "x" | "y">;

/** What is drawn as one. The biases have no place, and are told of in the card alone. */
function units(nodes: readonly GraphNode[], groups: Readonly<Record<string, readonly string[]>>): Unit[] {
  const here = new Map(nodes.map((node) => [node.id, node]));
  const taken = new Set<string>();
  const made: Unit[] = [];
  for (const [name, ids] of Object.entries(groups)) {
    const members = ids.flatMap((id) => here.get(id) ?? []);
    if (members.length === 0) continue;
    for (const { id } of members) taken.add(id);
    made.push({ key: groupKey(name), group: name, nodes: members });
  }
  const single = nodes.filter(({ id, kind }) => !taken.has(id) && kind !== "bias");
  return [...single.map((node) => ({ key: node.id, group: null, nodes: [node] })), ...made];
}

const levelOf = ({ kind, layer }: GraphNode, layers: number): number =>
  kind === "logit" ? layers + 1 : kind === "token" || kind === "position" ? 0 : (layer ?? 0) + 1;

interface Cell {
  position: number;
  level: number;
  members: Unit[];
}

function cellsOf(layers: number, all: readonly Unit[]): Map<string, Cell> {
  const cells = new Map<string, Cell>();
  for (const unit of all) {
    // A supernode stands where most of its influence is.
    const main = unit.nodes.reduce((best, node) => (node.influence > best.influence ? node : best));
    const [position, level] = [main.position ?? 0, levelOf(main, layers)];
    const cell = cells.get(`${position} ${level}`) ?? { position, level, members: [] };
    cell.members.push(unit);
    cells.set(`${position} ${level}`, cell);
  }
  return cells;
}

function columnsOf(count: number, cells: ReadonlyMap<string, Cell>, width: number) {
  const needs = Array.from({ length: count }, () => LEAST_COLUMN);
  for (const { position, members } of cells.values())
    needs[position] = Math.max(needs[position] ?? 0, (members.length + 1) * PITCH);
  const spare = Math.max(0, width - GUTTER - needs.reduce((sum, need) => sum + need, 0)) / Math.max(1, count);
  let x = GUTTER;
  return needs.map((need, position) => {
    const column = { position, x, width: need + spare };
    x += column.width;
    return column;
  });
}

/** The spot that an arrow key leads to: the next one of the row, or in the next row the nearest. */
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
