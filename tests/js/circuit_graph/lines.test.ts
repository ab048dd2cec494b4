// Which edge is under the pointer and which paths lead through a node, against plain loops; and groups.
import fc from "fast-check";
import { expect, test } from "vitest";
import { withGroups } from "../../../js/panels/circuit_graph/arrangement";
import { nodesWithin } from "../../../js/panels/circuit_graph/band";
import { circuitOf, decodeGraph, type Edge, INPUT, LOGITS } from "../../../js/panels/circuit_graph/graph";
import { grouped, groupKey } from "../../../js/panels/circuit_graph/groups";
import { layoutCircuit } from "../../../js/panels/circuit_graph/layout";
import { type Line, linesOf, opacityOf, sizeOf, widthOf } from "../../../js/panels/circuit_graph/lines";
import { nearestAmong } from "../../../js/panels/circuit_graph/nearest";
import { pathsAmong } from "../../../js/panels/circuit_graph/through";
import { ALL_EDGES, makeGraph, NODES } from "./circuits";

const anyEdges = fc.subarray(ALL_EDGES, { minLength: 1 }).chain((pairs) =>
  fc.array(fc.integer({ min: -40, max: 40 }), { minLength: pairs.length, maxLength: pairs.length }).map(
    (scores) =>
      decodeGraph(
        makeGraph(
          {},
          pairs
            .map(([from, to], i): [string, string, number] => [from, to, (scores[i] ?? 0) / 4])
            .sort((a, b) => Math.abs(b[2]) - Math.abs(a[2])),
        ),
      ).edges,
  ),
);
const layout = layoutCircuit(NODES, NODES, 640, true);

/** How far a point is from an edge's ink. */
function gapTo({ edge, curve }: Line, x: number, y: number, largest: number): number {
  const [x0, y0, x1, y1, x2, y2, x3, y3] = curve as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i <= 500; i++) {
    const [t, u] = [i / 500, 1 - i / 500];
    const at = (a: number, b: number, c: number, d: number) =>
      u ** 3 * a + 3 * u * u * t * b + 3 * u * t * t * c + t ** 3 * d;
    least = Math.min(least, Math.hypot(at(x0, x1, x2, x3) - x, at(y0, y1, y2, y3) - y));
  }
  return Math.max(0, least - widthOf(edge, largest) / 2);
}

test("the edge under the pointer is the one that a search through all of them finds", () => {
  fc.assert(
    fc.property(anyEdges, fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(), (edges, t, pick) => {
      const [lines, largest] = [linesOf(layout, edges), 10];
      const near = nearestAmong(lines, largest, layout.width, layout.height);
      // A point on or near one of the edges, or anywhere.
      const { curve } = lines[pick % lines.length] as Line;
      const [x, y] = [
        (curve[0] ?? 0) * (1 - t) + (curve[6] ?? 0) * t,
        (curve[1] ?? 0) * (1 - t) + (curve[7] ?? 0) * t,
      ];
      const gaps = lines.map((line) => gapTo(line, x, y, largest));
      const least = Math.min(...gaps);
      const found = near(x, y);
      // Points are 5 pixels apart, so that a gap is right to about half a pixel where it matters.
      if (least < 4) expect(gaps[lines.indexOf(found as Line)]).toBeLessThan(least + 1);
      if (least > 5) expect(found).toBeNull();
    }),
    { numRuns: 150 },
  );
});

/** Every path of a circuit from a node without edges in to one without edges out, as lists of lines. */
function allPaths(lines: readonly Line[]): Line[][] {
  const from = (name: string): Line[][] => {
    const next = lines.filter(({ edge }) => edge.from === name);
    return next.length === 0 ? [[]] : next.flatMap((line) => from(line.to).map((rest) => [line, ...rest]));
  };
  const starts = NODES.filter(
    (name) => lines.some(({ edge }) => edge.from === name) && lines.every(({ to }) => to !== name),
  );
  return starts.flatMap(from);
}

test("what stands out are the edges of all paths through the node, and no others", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.constantFrom(...ALL_EDGES), { minLength: 1, maxLength: 12 }),
      fc.constantFrom(...NODES),
      (pairs, node) => {
        const { edges } = decodeGraph(
          makeGraph(
            {},
            pairs.map(([a, b], i): [string, string, number] => [a, b, 20 - i]),
          ),
        );
        const lines = linesOf(layout, edges);
        const passes = (path: Line[]) => path.some(({ edge, to }) => edge.from === node || to === node);
        const wanted = new Set(allPaths(lines).filter(passes).flat());
        const lit = pathsAmong(lines)(node);
        expect(new Set(lit.map(({ line }) => line))).toEqual(wanted);
        expect(lit).toHaveLength(wanted.size);
        const own = lit.filter(({ away }) => away === 1).map(({ line }) => line);
        expect(new Set(own)).toEqual(
          new Set(lines.filter(({ edge, to }) => edge.from === node || to === node)),
        );
        expect(pathsAmong(lines)(node, 1).map(({ line }) => line)).toEqual(own);
        const order = lit.map(({ line, away }) => away * 1000 - sizeOf(line.edge));
        expect(order).toEqual([...order].sort((a, b) => a - b));
      },
    ),
    { numRuns: 150 },
  );
});

test("among many edges the weak ones fade, and the strong ones do not", () => {
  const sized = (share: number) => ({ share, score: share }) as Edge;
  expect(opacityOf(sized(0.01), 1, 30)).toBe(opacityOf(sized(1), 1, 30));
  expect(opacityOf(sized(0.01), 1, 5000)).toBeLessThan(0.3);
  expect(opacityOf(sized(1), 1, 5000)).toBe(opacityOf(sized(1), 1, 30));
});

const graph = decodeGraph(makeGraph());
const circuit = circuitOf(graph, 7, []);
const arrows = (edges: readonly Edge[]) => edges.map(({ from, receiver, share }) => [from, receiver, share]);

test("without groups the edges are the circuit's own", () => {
  expect(grouped(circuit, [])).toBe(circuit);
  expect(grouped(circuit, [{ name: "ends", nodes: [INPUT, LOGITS] }])).toBe(circuit);
});

test("edges in and out of a group are added, those inside are left out, the ends are never in one", () => {
  const group = { name: "early", nodes: [INPUT, "a0.h1", "m0", LOGITS] };
  const key = groupKey("early");
  expect(arrows(grouped(circuit, [group]))).toEqual([
    [INPUT, key, expect.closeTo(0.6)],
    [key, "a1.h1<k>", expect.closeTo(-0.4)],
    ["a1.h1", LOGITS, expect.closeTo(0.3)],
    [key, LOGITS, expect.closeTo(0.2)],
    [INPUT, "a1.h1<q>", expect.closeTo(0.025)],
  ]);
});

test("an input that two heads share leads once to a group of both, and a node is in the first of its groups", () => {
  const edges = graph.edges;
  const both = { name: "both", nodes: ["a1.h0", "a1.h1"] };
  const late = { name: "late", nodes: ["a1.h1", "m1"] };
  const found = arrows(grouped(edges, [both, late]));
  expect(found).toContainEqual(["a0.h1", groupKey("both"), expect.closeTo(-0.4)]);
  expect(found).toContainEqual([groupKey("both"), groupKey("late"), expect.closeTo(0.05)]);
});

test("what flows between the parts of a grouped circuit is what flows between its nodes", () => {
  fc.assert(
    fc.property(anyEdges, fc.subarray(NODES), (edges, nodes) => {
      const inside = (name: string) => nodes.includes(name) && name !== INPUT && name !== LOGITS;
      const part = (name: string) => (inside(name) ? groupKey("g") : name);
      const sends = linesOf(layout, edges);
      const flows = (list: [string, string, number][]) => {
        const sums = new Map<string, number>();
        for (const [from, to, share] of list)
          sums.set(`${from} ${to}`, (sums.get(`${from} ${to}`) ?? 0) + share);
        return [...sums].map(([key, sum]) => [key, Number(sum.toFixed(6)) + 0]).sort();
      };
      // A line for each edge and part: heads of the group that share an input count once.
      const seen = new Set<string>();
      const wanted = sends.flatMap(({ edge, to }): [string, string, number][] => {
        const key = `${edge.from} ${edge.receiver} ${part(to)}`;
        if (part(edge.from) === part(to) || seen.has(key)) return [];
        seen.add(key);
        return [[part(edge.from), part(to), edge.share]];
      });
      const found = grouped(edges, [{ name: "g", nodes }]).map((edge): [string, string, number] => [
        edge.from,
        edge.to,
        edge.share,
      ]);
      if (nodes.some(inside)) expect(flows(found)).toEqual(flows(wanted));
    }),
    { numRuns: 150 },
  );
});

test("a group stands in the mean of its nodes, inside of the picture, and is in no rectangle", () => {
  const { boxes, ...rest } = withGroups(layout, [
    { name: "g".repeat(200), nodes: ["a0.h0", "a1.h1", "gone"] },
  ]);
  const box = boxes.get(groupKey("g".repeat(200)));
  expect([...boxes.keys()]).not.toContain("a0.h0");
  expect(box).toMatchObject({
    count: 2,
    y: expect.closeTo(((layout.boxes.get("a0.h0")?.y ?? 0) + (layout.boxes.get("a1.h1")?.y ?? 0)) / 2),
  });
  expect((box?.x ?? 0) - (box?.width ?? 0) / 2).toBeGreaterThanOrEqual(0);
  const all = { x0: layout.width, y0: layout.height, x1: 0, y1: 0 };
  expect(nodesWithin({ ...rest, boxes }, all).sort()).toEqual(
    NODES.filter((name) => !["a0.h0", "a1.h1"].includes(name)).sort(),
  );
  const { x, y } = layout.boxes.get("m0") ?? { x: 0, y: 0 };
  expect(nodesWithin(layout, { x0: x - 1, y0: y + 1, x1: x + 1, y1: y - 1 })).toEqual(["m0"]);
});
