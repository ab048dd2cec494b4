// The arrangement by flow: rows in the order of the model, nodes apart, edges around nodes.
import fc from "fast-check";
import { expect, test } from "vitest";
import { arrangementOf, fitted } from "../../../js/panels/circuit_graph/arrangement";
import { crossedBy, flowOf, layoutFlow, MOST_CROSSED } from "../../../js/panels/circuit_graph/flow";
import { decodeGraph, type Edge } from "../../../js/panels/circuit_graph/graph";
import { curveBetween, type Layout, NODE_HEIGHT } from "../../../js/panels/circuit_graph/layout";
import { linesOf } from "../../../js/panels/circuit_graph/lines";
import { ALL_EDGES, makeGraph, NODES } from "./circuits";

const edge = (from: string, to: string): Edge => ({
  ...{ from, to, part: "", receiver: to, readers: to === "logits" ? [] : [to] },
  ...{ score: 1, share: 1 },
});
const nodesOf = (edges: Edge[]) =>
  NODES.filter((name) => edges.some(({ from, to }) => from === name || to === name));
const PAIRS = [...new Set(ALL_EDGES.map(([from, to]) => `${from} ${to.replace(/<.>/, "")}`))].map((pair) =>
  edge(...(pair.split(" ") as [string, string])),
);

const overlap = (layout: Layout) => {
  const all = [...layout.boxes.values()];
  return all.some((a, i) =>
    all
      .slice(i + 1)
      .some((b) => Math.abs(a.x - b.x) < (a.width + b.width) / 2 && Math.abs(a.y - b.y) < NODE_HEIGHT),
  );
};

test("in any circuit nodes are apart, rows are the model's, and everything is inside of the picture", () => {
  fc.assert(
    fc.property(fc.subarray(PAIRS, { minLength: 1 }), fc.integer({ min: 200, max: 1000 }), (edges, width) => {
      const nodes = nodesOf(edges);
      const layout = layoutFlow(flowOf(nodes, edges), width, true);
      expect([...layout.boxes.keys()]).toEqual(nodes);
      expect(overlap(layout)).toBe(false);
      for (const { from, to } of edges) {
        const [a, b] = [layout.boxes.get(from), layout.boxes.get(to)];
        expect(a && b && a.y > b.y).toBe(true);
      }
      const points = linesOf(layout, edges).flatMap(({ curve }) => curve.filter((_, i) => i % 2 === 0));
      const sides = [...layout.boxes.values()].flatMap(({ x, width }) => [x - width / 2, x + width / 2]);
      expect(Math.min(...points, ...sides)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...points, ...sides)).toBeLessThanOrEqual(layout.width + 1e-6);
    }),
    { numRuns: 40 },
  );
});

test("an edge that passes rows has a point in each, beside the nodes there", () => {
  const edges = PAIRS.filter(({ from, to }) => from === "input" || to === "logits");
  const layout = layoutFlow(flowOf(NODES, edges), 640, false);
  const boxes = [...layout.boxes.values()];
  let passed = 0;
  for (const [key, points] of layout.routes ?? []) {
    const [from, to] = key.split(" ").map((name) => layout.boxes.get(name));
    const between = new Set(
      boxes.filter(({ y }) => y > (from?.y ?? 0) && y < (to?.y ?? 0)).map(({ y }) => y),
    );
    expect(points.map(({ y }) => y)).toEqual([...between].sort((a, b) => a - b));
    for (const { x, y } of points) {
      expect(boxes.some((box) => box.y === y && Math.abs(box.x - x) < box.width / 2)).toBe(false);
      passed++;
    }
  }
  expect(passed).toBeGreaterThan(10);
});

test("the same circuit is always laid out the same, and an edge arrives at its input", () => {
  const { edges } = decodeGraph(makeGraph());
  const nodes = NODES.filter((name) => name !== "a0.h0");
  const [one, two] = [flowOf(nodes, edges), flowOf(nodes, edges)];
  expect(one).toEqual(two);
  const layout = layoutFlow(one, 640, true);
  const [from, to] = [layout.boxes.get("input"), layout.boxes.get("a0.h1")];
  if (!from || !to) throw new Error("a node has no box");
  expect(curveBetween(layout, from, to, "v").slice(-2)).toEqual([to.x + 9, to.y + NODE_HEIGHT / 2]);
});

test("a circuit that dagre would take long for is arranged by head", () => {
  const layers = Array.from({ length: 12 }, (_, i) => `m${i}`);
  const nodes = ["input", ...layers, "logits"];
  const large = nodes.flatMap((from, i) => nodes.slice(i + 1).map((to) => edge(from, to)));
  // Of a chain of 14 rows, each pair of nodes crosses as many as lie between them.
  expect(crossedBy(nodes, large)).toBe(455);
  const heads = Array.from({ length: 50 }, (_, head) => `a0.h${head}`);
  const wide = heads.map((head) => edge(head, "logits"));
  const arranged = (extra: Edge[]) => {
    const own = [...nodes.slice(0, 1), ...heads, ...nodes.slice(1)];
    const drawn = {
      nodes: own,
      all: own,
      edges: [...large, ...extra],
      rising: true,
      arrange: "flow" as const,
    };
    return arrangementOf(drawn)(640).routes !== undefined;
  };
  expect(455 + 50 * 13).toBeGreaterThan(MOST_CROSSED);
  expect([arranged([]), arranged(wide)]).toEqual([true, false]);
});

test("what is too high is made smaller, and then as wide as the view", () => {
  const all = [
    "input",
    ...Array.from({ length: 30 }, (_, layer) => [`a${layer}.h0`, `m${layer}`]).flat(),
    "logits",
  ];
  const arrangement = arrangementOf({ nodes: all, all, edges: [], rising: true, arrange: "head" });
  const { layout, scale, height } = fitted(arrangement, 600);
  expect(scale).toBeLessThan(1);
  expect(height).toBe(720);
  expect(layout.width * scale).toBeLessThanOrEqual(600);
  const small = fitted(
    arrangementOf({ nodes: NODES, all: NODES, edges: [], rising: true, arrange: "head" }),
    600,
  );
  expect([small.scale, small.height]).toEqual([1, Math.ceil(small.layout.height)]);
});
