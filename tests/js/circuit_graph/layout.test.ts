import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeGraph } from "../../../js/panels/circuit_graph/graph";
import {
  curveBetween,
  type Layout,
  layoutCircuit,
  NODE_HEIGHT,
  nodeBeyond,
} from "../../../js/panels/circuit_graph/layout";
import { linesOf } from "../../../js/panels/circuit_graph/lines";
import { nearestSize, sizesTo } from "../../../js/panels/circuit_graph/slider";
import { makeGraph, NODES } from "./circuits";

const LARGE = [
  "input",
  ...Array.from({ length: 30 }, (_, layer) => [
    ...Array.from({ length: 9 }, (_, head) => `a${layer}.h${head}`),
    `m${layer}`,
  ]).flat(),
  "logits",
];
const boxOf = ({ boxes }: Layout, name: string) => {
  const box = boxes.get(name);
  if (!box) throw new Error(`no box of ${name}`);
  return box;
};

function overlapping({ boxes }: Layout): string[] {
  const all = [...boxes.values()];
  return all.flatMap((a, i) =>
    all
      .slice(i + 1)
      .filter((b) => Math.abs(a.x - b.x) < (a.width + b.width) / 2 && Math.abs(a.y - b.y) < NODE_HEIGHT)
      .map((b) => `${a.name} ${b.name}`),
  );
}

test("no two nodes overlap, and all are inside of the picture, in circuits of any size", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(NODES, LARGE).chain((all) => fc.tuple(fc.constant(all), fc.subarray(all))),
      fc.integer({ min: 300, max: 1200 }),
      fc.boolean(),
      ([all, nodes], width, rising) => {
        const layout = layoutCircuit(nodes, all, width, rising);
        expect(layout.boxes.size).toBe(nodes.length);
        expect(overlapping(layout)).toEqual([]);
        for (const { x, y, width } of layout.boxes.values()) {
          expect([x - width / 2 >= 0, x + width / 2 <= layout.width]).toEqual([true, true]);
          expect([y - NODE_HEIGHT / 2 >= 0, y + NODE_HEIGHT / 2 <= layout.height]).toEqual([true, true]);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test("layers rise from the embedding to the logits, MLPs above the heads of their layer", () => {
  const heights = (rising: boolean) => {
    const layout = layoutCircuit(NODES, NODES, 640, rising);
    return ["input", "a0.h0", "m0", "a1.h1", "m1", "logits"].map((name) => boxOf(layout, name).y);
  };
  const falling = heights(false);
  expect(falling).toEqual([...falling].sort((a, b) => a - b));
  expect(new Set(falling).size).toBe(6);
  const rising = heights(true);
  expect(rising).toEqual([...rising].sort((a, b) => b - a));
});

test("a head stays in its column while the circuit grows", () => {
  const few = layoutCircuit(["input", "a1.h1", "logits"], NODES, 640, true);
  const all = layoutCircuit(NODES, NODES, 640, true);
  expect(boxOf(few, "a1.h1").x).toBe(boxOf(all, "a1.h1").x);
  expect(boxOf(all, "a0.h1").x).toBe(boxOf(all, "a1.h1").x);
  expect(few.rows.map(({ layer }) => layer)).toEqual([1]);
  expect(all.rows.map(({ layer }) => layer)).toEqual([0, 1]);
});

test("with too many heads for the width only those that are drawn have a column", () => {
  const many = Array.from({ length: 40 }, (_, head) => `a0.h${head}`);
  const layout = layoutCircuit(["a0.h3", "a0.h31"], many, 400, true);
  expect(boxOf(layout, "a0.h31").x - boxOf(layout, "a0.h3").x).toBeLessThan(200);
});

test("an edge leaves at the far side of a node and arrives at its input, queries left, values right", () => {
  const layout = layoutCircuit(NODES, NODES, 640, true);
  const [from, to] = [boxOf(layout, "a0.h0"), boxOf(layout, "a1.h1")];
  const ends = (part: string) => {
    const curve = curveBetween(layout, from, to, part);
    return [curve.slice(0, 2), curve.slice(-2)];
  };
  const start = [from.x, from.y - NODE_HEIGHT / 2];
  expect(ends("k")).toEqual([start, [to.x, to.y + NODE_HEIGHT / 2]]);
  expect([ends("q")[1]?.[0], ends("v")[1]?.[0]]).toEqual([to.x - 9, to.x + 9]);
});

test("an edge that two heads of the circuit read is drawn to both", () => {
  const graph = decodeGraph(makeGraph());
  const layout = layoutCircuit(NODES, NODES, 640, true);
  const lines = linesOf(layout, graph.edges);
  expect(lines.filter(({ edge }) => edge.receiver === "a1.h0<k>")).toHaveLength(2);
  expect(lines).toHaveLength(graph.edges.length + 1);
});

test("the slider offers every size once, closer together where circuits are small", () => {
  const sizes = sizesTo(479);
  expect(sizes.slice(0, 4)).toEqual([1, 2, 3, 4]);
  expect(sizes.at(-1)).toBe(479);
  expect(sizes).toEqual([...new Set(sizes)].sort((a, b) => a - b));
  for (const [i, size] of sizes.entries()) expect(nearestSize(sizes, size)).toBe(i);
  expect(sizesTo(1)).toEqual([1]);
  expect(nearestSize(sizes, 1_000_000)).toBe(sizes.length - 1);
});

test.each([true, false])("arrow keys lead through a layer, and from layer to layer, rising: %s", (rising) => {
  const layout = layoutCircuit(NODES, NODES, 640, rising);
  const [later, earlier] = rising ? ["ArrowUp", "ArrowDown"] : ["ArrowDown", "ArrowUp"];
  const walk = (from: string, key: string | undefined) => nodeBeyond(layout, from, key ?? "");
  expect([walk("a0.h1", later), walk("m0", later), walk("m1", later)]).toEqual(["a1.h1", "m1", "logits"]);
  expect([walk("a1.h0", earlier), walk("m1", earlier), walk("a0.h1", earlier)]).toEqual([
    "a0.h0",
    "m0",
    "input",
  ]);
  expect([walk("a0.h0", "ArrowRight"), walk("a0.h1", "ArrowRight"), walk("m0", "ArrowRight")]).toEqual([
    "a0.h1",
    "m0",
    null,
  ]);
  expect([walk("m0", "ArrowLeft"), walk("a0.h0", "ArrowLeft")]).toEqual(["a0.h1", null]);
  expect([walk("logits", later), walk("input", earlier), walk("input", "ArrowLeft")]).toEqual([
    null,
    null,
    null,
  ]);
  expect([walk("a0.h0", "Enter"), walk("m9", "ArrowUp")]).toEqual([null, null]);
});

test("arrow keys pass over layers of which nothing is drawn", () => {
  const layout = layoutCircuit(["input", "a7.h2", "logits"], LARGE, 900, true);
  expect(["input", "a7.h2"].map((name) => nodeBeyond(layout, name, "ArrowUp"))).toEqual(["a7.h2", "logits"]);
});
