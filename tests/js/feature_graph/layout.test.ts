// Where nodes are drawn: never on each other, whatever is shown and however narrow it is.
import fc from "fast-check";
import { expect, test } from "vitest";
import { arrange } from "../../../js/panels/feature_graph/arrange";
import { groupKey, layoutOf, spotBeyond, type Unit, unitsOf } from "../../../js/panels/feature_graph/layout";
import { curveOf, linesOf } from "../../../js/panels/feature_graph/lines";
import { prune, subgraphOf } from "../../../js/panels/feature_graph/prune";
import { PALETTE } from "../palette";
import { GRAPH, IDS } from "./graphs";

const alone = ({ group }: Unit) => group === null;

const drawn = fc.record({
  kept: fc.subarray(IDS, { minLength: 1 }),
  named: fc.boolean(),
  rising: fc.boolean(),
  width: fc.integer({ min: 0, max: 1200 }),
  name: fc.string({ maxLength: 40 }),
});

test("nodes never lie on each other, and all are inside", () => {
  fc.assert(
    fc.property(drawn, ({ kept, named, rising, width, name }) => {
      const groups = { [name]: kept.slice(0, 2) };
      const shown = subgraphOf(GRAPH, new Set(kept));
      const layout = arrange({ graph: GRAPH, shown, groups, names: {}, rising, named }, width, PALETTE);
      const spots = [...layout.spots.values()];
      for (const node of shown.nodes) expect(layout.spotOf.has(node.id), node.id).toBe(node.kind !== "bias");
      for (const [i, a] of spots.entries()) {
        expect(a.x - a.width / 2).toBeGreaterThanOrEqual(0);
        expect(a.x + a.width / 2).toBeLessThanOrEqual(layout.width);
        expect(a.y - a.height / 2).toBeGreaterThanOrEqual(0);
        expect(a.y + a.height / 2).toBeLessThanOrEqual(layout.height);
        for (const b of spots.slice(i + 1)) {
          const apart = [
            (a.width + b.width) / 2 - Math.abs(a.x - b.x),
            (a.height + b.height) / 2 - Math.abs(a.y - b.y),
          ];
          expect(Math.min(...apart), `${a.key} and ${b.key}`).toBeLessThanOrEqual(0.01);
        }
      }
      for (const { from, to } of linesOf(layout, shown.edges).filter(
        (line) => alone(line.from) && alone(line.to),
      ))
        expect(Math.sign(from.y - to.y)).toBe(rising ? 1 : -1);
    }),
    { numRuns: 60 },
  );
});

test("a token's box is its position's too, and a supernode stands where its strongest node is", () => {
  const { nodes } = subgraphOf(GRAPH, new Set(IDS.slice(0, 3)));
  const groups = { two: IDS.slice(0, 2) as string[] };
  const [dots, boxes] = [unitsOf(nodes, groups), unitsOf(nodes, groups, true)];
  const tokens = GRAPH.json.prompt.ids.length;
  expect(dots.length - boxes.length).toBe(tokens);
  expect(boxes.filter(({ nodes: [node] }) => node.kind === "token").map((unit) => unit.nodes.length)).toEqual(
    Array(tokens).fill(2),
  );
  const shown = subgraphOf(GRAPH, new Set(IDS.slice(0, 3)));
  const at = (those: Record<string, string[]>) =>
    arrange({ graph: GRAPH, shown, groups: those, names: {}, rising: true, named: false }, 800, PALETTE);
  const [grouped, single] = [at(groups).spots.get(groupKey("two")), at({}).spots.get(IDS[0] as string)];
  expect(grouped?.y).toBe(single?.y);
});

test("arrow keys go to the next node beside, and to the nearest above", () => {
  const shown = prune(GRAPH, 0.8, 0.98);
  const layout = arrange(
    { graph: GRAPH, shown, groups: {}, names: {}, rising: true, named: false },
    800,
    PALETTE,
  );
  for (const spot of layout.spots.values()) {
    const right = spotBeyond(layout, "ArrowRight", spot);
    if (right) expect(spotBeyond(layout, "ArrowLeft", right)?.key).toBe(spot.key);
    const up = spotBeyond(layout, "ArrowUp", spot);
    if (up) expect(up.y).toBeLessThan(spot.y);
    expect(spotBeyond(layout, "Tab", spot)).toBeNull();
  }
});

test("an edge past a box leads around it, and others do not", () => {
  const box = (x: number, y: number) => ({ key: "", group: null, nodes: [], x, y, width: 60, height: 22 });
  const curve = (from: object, to: object) => curveOf({ from, to, weight: 1, flow: 1 } as never);
  expect(curve(box(100, 300), box(100, 100))[2]).toBeGreaterThan(140);
  expect(curve(box(100, 140), box(100, 100))[2]).toBe(100);
  expect(curve(box(100, 300), box(300, 100))[2]).toBe(100);
  // Of a supernode with nodes of several layers both ends can be in one row.
  expect(curve(box(100, 100), box(300, 100))).toEqual([100, 89, 100, 69, 300, 69, 300, 89]);
});

test.each([
  [1200, 1],
  [330, 2],
  [140, 4],
  [60, 5],
])(
  "dots of one token stand side by side in %i px in as few lines as fit, of four at least",
  (width, lines) => {
    const [one] = GRAPH.nodes.filter(({ kind }) => kind === "feature");
    if (!one) throw new Error("no feature");
    const units: Unit[] = Array.from({ length: 20 }, (_, i) => ({
      key: `${i}`,
      group: null,
      nodes: [{ ...one, id: `${i}`, position: 0 }],
    }));
    const layout = layoutOf(units, {
      layers: GRAPH.json.n_layers,
      tokens: [40],
      width,
      rising: true,
      boxOf: null,
    });
    expect(new Set([...layout.spots.values()].map(({ y }) => y)).size).toBe(lines);
    expect(layout.width).toBe(Math.max(width, 44 + 5 * 14));
  },
);
