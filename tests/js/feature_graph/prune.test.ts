// What a view leaves of a graph is what `AttributionGraph.pruned` leaves.
import fc from "fast-check";
import { expect, test } from "vitest";
import { prune, subgraphOf, thresholdOf } from "../../../js/panels/feature_graph/prune";
import { FEATURES, GRAPH, GRAPHS, PRUNED } from "./graphs";

test.each(PRUNED)("$name", ({ graph, shares, nodes, lines }) => {
  const { nodes: kept, edges } = prune(graph, ...shares);
  expect(kept.map(({ id }) => id)).toEqual(nodes);
  expect(edges.map(({ from, to }) => `${from.id} ${to.id}`).sort()).toEqual([...lines].sort());
});

test("the least score of a share, against a plain loop", () => {
  const scores = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(scores, fc.integer({ min: 0, max: 100 }), (values, percent) => {
      const total = values.reduce((sum, one) => sum + one, 0);
      const least = thresholdOf(values, percent / 100);
      if (total === 0) {
        expect(least).toBe(Number.POSITIVE_INFINITY);
        return;
      }
      // The largest of all scores at which what is at least as large has the share.
      const enough = (one: number) => {
        const sum = values.filter((value) => value >= one).reduce((a, b) => a + b, 0);
        return sum / total >= percent / 100;
      };
      expect(least).toBe(Math.max(...values.filter(enough)));
    }),
  );
});

test("more is kept of a larger share, and edges join what is kept", () => {
  const share = fc.integer({ min: 0, max: 95 }).map((n) => n / 100);
  fc.assert(
    fc.property(fc.constantFrom(...GRAPHS), share, share, (graph, node, edge) => {
      const { nodes, edges } = prune(graph, node, edge);
      const here = new Set(nodes);
      for (const { from, to, flow } of edges) {
        expect(here.has(from) && here.has(to)).toBe(true);
        expect(flow).toBeGreaterThan(0);
      }
      const more = new Set(prune(graph, node, 1).nodes);
      expect(nodes.filter((one) => !more.has(one))).toEqual([]);
    }),
    { numRuns: 40 },
  );
});

test("a subgraph has its nodes, all tokens, and every edge between them", () => {
  const some = FEATURES.slice(0, 4);
  const { nodes, edges } = subgraphOf(GRAPH, new Set(some.map(({ id }) => id)));
  expect(nodes.filter(({ kind }) => kind === "feature").map(({ id }) => id)).toEqual(
    GRAPH.nodes.filter((node) => some.includes(node)).map(({ id }) => id),
  );
  expect(nodes.filter(({ kind }) => kind === "token")).toHaveLength(GRAPH.json.prompt.ids.length);
  expect(nodes.some(({ kind }) => kind === "error")).toBe(false);
  const flows = edges.map(({ flow }) => flow);
  expect(flows).toEqual([...flows].sort((a, b) => b - a));
});
