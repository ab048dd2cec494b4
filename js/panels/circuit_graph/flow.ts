// The arrangement by flow: rows are given by the model, and dagre orders the nodes of each row and leads long edges
// around nodes, so that few edges cross.
import { Graph, layout } from "@dagrejs/dagre";
import { drawnTo, type Edge, INPUT, parseNode } from "./graph";
import { clamp, EDGE, GUTTER, type Layout, NODE_HEIGHT, type Point, routeKey, widthOfNode } from "./layout";

/** Where nodes and edges are across, from dagre, and in which row. */
export interface Flow {
  nodes: Map<string, { x: number; row: number }>;
  /** Between the rows of its ends, one for each row. */
  routes: Map<string, number[]>;
  /** Of each row the layer, or null for the two ends. */
  layers: (number | null)[];
  width: number;
}

/** Of the rows that edges cross, all together: up to here dagre needs less than 0.15 s on a slow core. */
export const MOST_CROSSED = 500;
const GAP = { nodes: 14, edges: 7 };
const ROW = { least: 34, most: 54, wanted: 560 };
const MOST_STRETCH = 3;

/** A head comes before the MLP of its layer, the embedding before all layers. */
function stageOf(name: string): number {
  const { layer, head } = parseNode(name);
  if (layer === null) return name === INPUT ? -1 : Number.POSITIVE_INFINITY;
  return 2 * layer + (head === null ? 1 : 0);
}

function rowsOf(nodes: readonly string[]): Map<string, number> {
  const stages = [...new Set(nodes.map(stageOf))].sort((a, b) => a - b);
  const rows = new Map(stages.map((stage, row) => [stage, row]));
  return new Map(nodes.map((name) => [name, rows.get(stageOf(name)) ?? 0]));
}

/** The pairs of nodes between which something is drawn. */
function pairsOf(edges: readonly Edge[]): Map<string, [string, string]> {
  const sends = new Set(edges.map(({ from }) => from));
  return new Map(
    edges.flatMap((edge) =>
      drawnTo(edge, sends).map((to): [string, [string, string]] => [
        routeKey(edge.from, to),
        [edge.from, to],
      ]),
    ),
  );
}

/** How much dagre would have to do. */
export function crossedBy(nodes: readonly string[], edges: readonly Edge[]): number {
  const rows = rowsOf(nodes);
  const row = (name: string) => rows.get(name) ?? 0;
  return [...pairsOf(edges).values()].reduce((sum, [from, to]) => sum + row(to) - row(from), 0);
}

export function flowOf(nodes: readonly string[], edges: readonly Edge[]): Flow {
  const rows = rowsOf(nodes);
  const graph = new Graph();
  graph.setGraph({
    nodesep: GAP.nodes,
    edgesep: GAP.edges,
    // In place of dagre's own. Between two rows it has one for labels of edges; its auxiliary node is in no row.
    ranker: (ranked: Graph) => {
      for (const name of ranked.nodes())
        Object.assign(ranked.node(name) as object, { rank: 2 * (rows.get(name) ?? 0) });
    },
  } as never);
  for (const name of nodes)
    graph.setNode(name, { width: widthOfNode(parseNode(name).head), height: NODE_HEIGHT });
  for (const [from, to] of pairsOf(edges).values()) graph.setEdge(from, to, {});
  layout(graph);
  const across = new Map(nodes.map((name) => [name, (graph.node(name) as { x: number }).x]));
  const routes = new Map(
    [...pairsOf(edges)].map(([key, [from, to]]) => {
      const { points } = graph.edge(from, to) as { points: Point[] };
      // The first and the last point are where dagre's straight lines meet the nodes; of the others, each second is in
      // a row.
      return [
        key,
        points
          .slice(2, -2)
          .filter((_, i) => i % 2 === 0)
          .map(({ x }) => x),
      ];
    }),
  );
  // What dagre gives as its width leaves out edges.
  const all = [
    ...nodes.flatMap((name) => [-1, 1].map((side) => (across.get(name) ?? 0) + side * halfOf(name))),
    ...[...routes.values()].flat(),
  ];
  const least = Math.min(...all);
  return {
    nodes: new Map(
      nodes.map((name) => [name, { x: (across.get(name) ?? 0) - least, row: rows.get(name) ?? 0 }]),
    ),
    routes: new Map([...routes].map(([key, xs]) => [key, xs.map((x) => x - least)])),
    layers: layersOf(rows),
    width: Math.max(...all) - least,
  };
}

const halfOf = (name: string): number => widthOfNode(parseNode(name).head) / 2;

function layersOf(rows: ReadonlyMap<string, number>): (number | null)[] {
  const layers: (number | null)[] = [];
  for (const [name, row] of rows) layers[row] = parseNode(name).layer;
  return layers;
}

/** As `layoutCircuit` does: the flow in a view of a width, which it fills up to a point. */
export function layoutFlow(
  { nodes, routes, layers, width: own }: Flow,
  width: number,
  rising: boolean,
): Layout {
  const stretch = clamp((width - GUTTER - 4) / Math.max(1, own), 1, MOST_STRETCH);
  const pitch = clamp(ROW.wanted / Math.max(1, layers.length), ROW.least, ROW.most);
  const height = 2 * EDGE + pitch * Math.max(0, layers.length - 1);
  const x = (at: number) => GUTTER + at * stretch;
  const y = (row: number) => (rising ? height - EDGE - row * pitch : EDGE + row * pitch);
  const labelled = layers.flatMap((layer, row) =>
    layer === null || layers.indexOf(layer) !== row ? [] : [{ layer, y: y(row) }],
  );
  const points = ([key, xs]: [string, number[]]): [string, Point[]] => {
    const first = nodes.get(key.split(" ")[0] ?? "")?.row ?? 0;
    return [key, xs.map((at, i) => ({ x: x(at), y: y(first + i + 1) }))];
  };
  return {
    boxes: new Map(
      [...nodes].map(([name, at]) => [
        name,
        { name, x: x(at.x), y: y(at.row), width: widthOfNode(parseNode(name).head) },
      ]),
    ),
    routes: new Map([...routes].map(points)),
    rows: labelled,
    width: GUTTER + own * stretch + 4,
    height,
    onward: rising ? -1 : 1,
  };
}
