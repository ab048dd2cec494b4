// A graph as Python sends it: decoding, pruning, places, and the names of nodes and edges.
import fc from "fast-check";
import { expect, test } from "vitest";
import { percent } from "../../../js/lib/format";
import {
  circuitOf,
  decodeGraph,
  drawnTo,
  type Edge,
  type Graph,
  gapOf,
  nodeOfPlace,
  nodesOf,
  parseNode,
  placeOfNode,
  pruned,
} from "../../../js/panels/circuit_graph/graph";
import { edgeName, inputName, longName, shortName, sizeWords } from "../../../js/panels/circuit_graph/words";
import { ALL_EDGES, EDGES, GAP, makeGraph, NODES } from "./circuits";

const graphOf = (names: readonly (readonly [string, string])[]): Graph =>
  decodeGraph(
    makeGraph(
      {},
      names.map(([from, to]) => [from, to, 1]),
    ),
  );
const nameOf = ({ from, receiver }: Edge) => `${from}->${receiver}`;
const pairOf = (name: string) => name.split("->") as [string, string];

test("edges come with their ends, who reads there, and their part of the gap", () => {
  const { edges, nodes } = decodeGraph(makeGraph());
  expect(nodes).toEqual(NODES);
  expect(edges.map(nameOf)).toEqual(EDGES.map(([from, to]) => `${from}->${to}`));
  const key = { receiver: "a1.h0<k>", part: "k", readers: ["a1.h0", "a1.h1"], to: "a1.h0", from: "a0.h1" };
  expect(edges[1]).toEqual({ ...key, score: -4, share: -4 / GAP });
  expect(edges[2]).toMatchObject({ to: "logits", readers: [], part: "", share: 0.3 });
});

test("without a gap an edge has a score and no share", () => {
  for (const baselines of [{ clean: 3, corrupt: 3 }, { clean: null, corrupt: 3 }, {}]) {
    expect(gapOf({ baselines })).toBeNaN();
    expect(decodeGraph(makeGraph({ baselines })).edges[0]).toMatchObject({ score: 5, share: Number.NaN });
  }
});

test("an edge without ends is refused", () => {
  expect(() => decodeGraph(makeGraph({ senders: ["input"] }))).toThrow("has no ends");
});

test("names of nodes are read, and those of edges written", () => {
  expect(parseNode("a12.h3<v>")).toEqual({ name: "a12.h3<v>", layer: 12, head: 3, part: "v" });
  expect(parseNode("m4")).toMatchObject({ layer: 4, head: null, part: "" });
  expect(["input", "a1.h0", "m1", "logits"].map(shortName)).toEqual(["embed", "1.0", "mlp 1", "logits"]);
  expect(["input", "a1.h0", "m1", "logits"].map(longName)).toEqual([
    "the embedding",
    "head 1.0",
    "MLP 1",
    "the logits",
  ]);
  const { edges } = decodeGraph(makeGraph());
  expect(edges.map(edgeName).slice(0, 4)).toEqual([
    "embed \u2192 0.1 v",
    "0.1 \u2192 1.0\u20131 k",
    "1.1 \u2192 logits",
    "mlp 0 \u2192 logits",
  ]);
  expect(edges[6] && inputName(edges[6])).toBe("1.1 q");
});

test("sizes are written as parts of the gap, with true signs", () => {
  expect([0.256, -0.04, 0.0004, -0.0004, 1.5, Number.NaN].map(percent)).toEqual([
    "+26%",
    "\u22124.0%",
    "0.0%",
    "0.0%",
    "+150%",
    "\u2013",
  ]);
  expect(sizeWords({ score: 5, share: 0.5 }, "logit_diff")).toBe("+50% of the gap (+5.00)");
  expect(sizeWords({ score: 5, share: Number.NaN }, "logit_diff")).toBe("+5.00");
});

test("the circuit is the largest edges without those that lead nowhere", () => {
  const graph = decodeGraph(makeGraph());
  const sizes = [1, 2, 3, 4, 5, 6, 7, 1000].map((most) => circuitOf(graph, most, []).length);
  expect(sizes).toEqual([0, 0, 3, 3, 5, 5, 6, 6]);
  // The key that head 1.1 reads, too, leads on to the logits.
  expect(circuitOf(graph, 3, []).map(nameOf)).toEqual([
    "input->a0.h1<v>",
    "a0.h1->a1.h0<k>",
    "a1.h1->logits",
  ]);
});

test("a circuit that Python chose is shown whole until the slider is below its size", () => {
  const graph = decodeGraph(makeGraph({ size: 7 }));
  expect(circuitOf(graph, 7, [])).toHaveLength(7);
  expect(circuitOf(graph, 6, [])).toHaveLength(5);
});

/** In words: an edge is kept if it lies on a path from the input to the logits. A path goes on from what is read to any
 *  head that reads it. */
function naive(edges: readonly Edge[]): Edge[] {
  const before = ({ from }: Edge): boolean =>
    from === "input" || edges.some((edge) => edge.readers.includes(from) && before(edge));
  const after = ({ to, readers }: Edge): boolean =>
    to === "logits" || edges.some((edge) => readers.includes(edge.from) && after(edge));
  return edges.filter((edge) => before(edge) && after(edge));
}

test("pruning keeps the edges on paths from the input to the logits", () => {
  fc.assert(
    fc.property(fc.subarray(ALL_EDGES), (names) => {
      const { edges } = graphOf(names);
      expect(pruned(edges)).toEqual(naive(edges));
    }),
    { numRuns: 500 },
  );
});

/** Made with Python, where `kept` has these edges of a graph with SENDERS and RECEIVERS:
 *  `print(graph.with_edges(kept).pruned().names)`. */
test("pruning equals Python's", () => {
  const kept = [
    ...["input->a0.h1<q>", "input->a0.h0<v>", "input->a1.h1<q>", "input->m1", "input->logits"],
    ...["a0.h0->a1.h0<q>", "a0.h0->a1.h0<k>", "a0.h1->a1.h0<q>", "m0->a1.h0<q>", "m0->a1.h1<q>"],
    ...["m0->logits", "a1.h1->logits"],
  ];
  expect(pruned(graphOf(kept.map(pairOf)).edges).map(nameOf)).toEqual([
    ...["input->a0.h0<v>", "input->a1.h1<q>", "input->logits", "a0.h0->a1.h0<k>", "a1.h1->logits"],
  ]);
});

test("an edge to heads that share it is drawn to those that write", () => {
  const graph = decodeGraph(makeGraph());
  const [, key] = graph.edges as [Edge, Edge];
  expect(drawnTo(key, new Set(["a1.h1"]))).toEqual(["a1.h1"]);
  expect(drawnTo(key, new Set(["a1.h0", "a1.h1"]))).toEqual(["a1.h0", "a1.h1"]);
  expect(drawnTo(key, new Set())).toEqual(["a1.h0"]);
  expect(nodesOf(graph, circuitOf(graph, 3, []))).toEqual(["input", "a0.h1", "a1.h1", "logits"]);
});

test("every node has a place that leads back to it, at whatever position", () => {
  const graph = decodeGraph(makeGraph());
  for (const name of NODES) {
    expect(nodeOfPlace(graph, placeOfNode(name))).toBe(name);
    expect(nodeOfPlace(graph, { ...placeOfNode(name), position: 3, side: "clean" })).toBe(name);
  }
});

test.each([
  [{ activation: "pattern", layer: 1, head: 1, source: 2 }, "a1.h1"],
  [{ activation: "mlp_post", layer: 1, neuron: 9 }, "m1"],
  [{ activation: "embed" }, "input"],
  [{ activation: "resid_pre", layer: 1 }, null],
  [{ layer: 1 }, null],
  [{ activation: "z", layer: 9, head: 0 }, null],
  [{}, null],
  [null, null],
])("%j is the node %s", (place, name) => {
  expect(nodeOfPlace(decodeGraph(makeGraph()), place)).toBe(name);
});
