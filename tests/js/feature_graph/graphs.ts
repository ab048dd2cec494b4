// Graphs that Python made, with what its `pruned` leaves of them: see tests/python/pruned_graphs.py.
import { type ArrayJson, decodeInts } from "../../../js/lib/ndarray";
import { decodeGraph, type GraphJson } from "../../../js/panels/feature_graph/graph";
import written from "./pruned.json";
import { cardTraits } from "./shown_card";

interface Left {
  shares: [number, number];
  nodes: number[];
  edges: ArrayJson;
}

const cases = written as unknown as { graph: GraphJson; left: Left[] }[];
export const GRAPHS = cases.map(({ graph }) => decodeGraph(graph));

/** [name, graph, shares, ids of the nodes that are left, edges as "source target"]. */
export const PRUNED = cases.flatMap(({ graph, left }, i) =>
  left.map(({ shares, nodes, edges }) => {
    const pairs = decodeInts(edges);
    const named = Array.from(pairs, (at) => graph.ids[at] as string);
    const lines = named.flatMap((id, at) => (at % 2 === 0 ? [`${id} ${named[at + 1]}`] : []));
    const decoded = GRAPHS[i] as (typeof GRAPHS)[number];
    return {
      name: `${graph.id} by ${shares}`,
      graph: decoded,
      shares,
      nodes: nodes.map((at) => graph.ids[at]),
      lines,
    };
  }),
);

export const GRAPH = GRAPHS[0] as (typeof GRAPHS)[number];
/** Of most influence first. */
export const FEATURES = GRAPH.nodes
  .filter(({ kind }) => kind === "feature")
  .sort((a, b) => b.influence - a.influence);
export const IDS = FEATURES.map(({ id }) => id);

export const graphTraits = (change: Record<string, unknown> = {}) =>
  cardTraits({
    result: GRAPH.json,
    description: null,
    node_share: 0.8,
    edge_share: 0.98,
    pinned: null,
    selection: null,
    ...change,
  });
