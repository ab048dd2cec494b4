// Nodes and edges of little influence are left out, as `AttributionGraph.pruned` does: a saved page has no Python.
import type { Edge, Graph, GraphNode } from "./graph";

export interface Pruned {
  nodes: readonly GraphNode[];
  /** The edge of most influence first. */
  edges: readonly Edge[];
}

/** The least score among the largest that together make up a share of all. */
export function thresholdOf(scores: ArrayLike<number>, share: number, total?: number): number {
  const ordered = Float64Array.from(scores).sort().reverse();
  const whole = total ?? ordered.reduce((sum, one) => sum + one, 0);
  if (ordered.length === 0 || whole <= 0) return Number.POSITIVE_INFINITY;
  let sum = 0;
  for (const one of ordered) {
    sum += one;
    if (sum / whole >= share) return one;
  }
  return ordered.at(-1) as number;
}

/** @param nodeShare, edgeShare the shares of influence to keep, from 0 to 1. */
export function prune(graph: Graph, nodeShare: number, edgeShare: number): Pruned {
  const { nodes, json } = graph;
  const influence = nodes.map((node) => node.influence);
  const least = thresholdOf(influence, nodeShare, json.total_influence);
  const kept = nodes.map(
    ({ kind, influence }) => influence >= least || !(kind === "feature" || kind === "error"),
  );
  return cut(graph, kept, edgeShare);
}

/** A logit of less probability is not drawn in a subgraph, unless it was put into it. */
const LIKELY = 0.02;

/** The graph of some nodes, of all tokens and positions, and of the logits that are likely. */
export function subgraphOf(graph: Graph, ids: ReadonlySet<string>): Pruned {
  const most = Math.max(...graph.targets.map(({ probability }) => probability ?? 0));
  const kept = graph.nodes.map(({ id, kind, probability }) => {
    if (kind === "logit") return ids.has(id) || (probability ?? 0) >= Math.min(LIKELY, most);
    return ids.has(id) || kind === "token" || kind === "position" || kind === "bias";
  });
  return cut(graph, kept, null);
}

/** @param edgeShare null for all edges, also into nodes that lead nowhere. */
function cut(graph: Graph, kept: boolean[], edgeShare: number | null): Pruned {
  const { targets, width } = graph;
  const bias = width - 1; // the last source: influence does not count it
  const left = new Float64Array(graph.edges.length);
  for (const [row, target] of targets.entries()) {
    if (!kept[target.at]) continue;
    for (let source = 0; source < bias; source++)
      if (kept[source]) left[row * width + source] = Math.abs(graph.edges[row * width + source] as number);
  }
  const scores = flowThrough(graph, left);
  const least = edgeShare === null ? 0 : thresholdOf(scores, edgeShare);
  const stays = scores.map((score, i) => Number(score >= least && (left[i] as number) > 0));
  if (edgeShare !== null) dropWhatLeadsNowhere(graph, kept, stays);
  const edges: Edge[] = [];
  for (const [row, to] of targets.entries()) {
    for (let source = 0; source < bias; source++) {
      const at = row * width + source;
      if (stays[at])
        edges.push({
          from: graph.nodes[source] as GraphNode,
          to,
          weight: graph.edges[at] as number,
          flow: scores[at] as number,
        });
    }
  }
  edges.sort((a, b) => b.flow - a.flow);
  return { nodes: graph.nodes.filter(({ at }) => kept[at]), edges };
}

/** The influence that flows through each edge: from the logits, which count by their probabilities, back through what
 *  each node reads, by the edges' parts of all that it reads. */
function flowThrough(graph: Graph, sizes: Float64Array): Float64Array {
  const { targets, width, json } = graph;
  const reach = new Float64Array(graph.nodes.length);
  for (const { at, probability } of targets) reach[at] = probability ?? 0;
  const level = ({ kind, layer }: GraphNode) => (kind === "logit" ? json.n_layers : (layer ?? 0));
  const rows = targets
    .map((_, row) => row)
    .sort((a, b) => level(targets[b] as GraphNode) - level(targets[a] as GraphNode));
  const scores = new Float64Array(sizes.length);
  for (const row of rows) {
    const flows = reach[(targets[row] as GraphNode).at] as number;
    const start = row * width;
    let sum = 0;
    for (let i = start; i < start + width; i++) sum += sizes[i] as number;
    if (flows <= 0 || sum <= 0) continue;
    for (let source = 0; source < width; source++) {
      const score = ((sizes[start + source] as number) * flows) / sum;
      scores[start + source] = score;
      reach[source] = (reach[source] as number) + score;
    }
  }
  return scores;
}

/** Features and errors that lead nowhere, and features that nothing leads into, and their edges. */
function dropWhatLeadsNowhere(graph: Graph, kept: boolean[], stays: Float64Array): void {
  const { nodes, targets, width } = graph;
  for (let changed = true; changed; ) {
    changed = false;
    const [into, out] = [new Uint8Array(nodes.length), new Uint8Array(nodes.length)];
    for (const [row, target] of targets.entries())
      for (let source = 0; source < width; source++)
        if (stays[row * width + source]) into[target.at] = out[source] = 1;
    for (const { at, kind, row } of nodes) {
      const inner = kind === "feature" || kind === "error";
      if (!kept[at] || !inner || (out[at] && (kind === "error" || into[at]))) continue;
      kept[at] = false;
      changed = true;
      if (row !== null) stays.fill(0, row * width, (row + 1) * width);
      for (let other = 0; other < targets.length; other++) stays[other * width + at] = 0;
    }
  }
}
