// A kept circuit: how alike it is to the one on the screen, and what is shown of the two.
import { expect, test } from "vitest";
import { compared, edgesNamed } from "../../../js/panels/circuit_graph/compare";
import { circuitOf, decodeGraph } from "../../../js/panels/circuit_graph/graph";
import { eventually } from "../eventually";
import { maybe, part } from "../helpers";
import { choose } from "../shown_heatmap";
import { circuitTraits, makeGraph } from "./circuits";
import { circuitWithoutKernel, click, nodeNames, showCircuit } from "./shown_circuit";

const graph = decodeGraph(makeGraph());
const names = (edges: readonly { from: string; receiver: string }[]) =>
  edges.map(({ from, receiver }) => `${from}->${receiver}`);
const KEPT = ["m0->logits", "input->m0", "a1.h0->logits"];

test("kept edges have the scores of the graph on the screen, the largest first", () => {
  const edges = edgesNamed(graph, ["input->m0", "m0->logits", "m1->logits", "a0.h1->a1.h0<k>"]);
  expect(edges.map(({ score }) => score)).toEqual([-4, 2, 1, Number.NaN]);
  expect(edges[0]).toMatchObject({ to: "a1.h0", readers: ["a1.h0", "a1.h1"], part: "k" });
  expect(edges[3]).toMatchObject({ from: "m1", to: "logits", readers: [] });
});

test("two circuits are compared edge by edge and node by node", () => {
  const circuit = circuitOf(graph, 5, []);
  const { both, here, there, ofEdges, ofNodes, edges } = compared(
    circuit,
    edgesNamed(graph, KEPT),
    "difference",
  );
  expect([both, names(here), names(there)]).toEqual([
    2,
    ["input->a0.h1<v>", "a0.h1->a1.h0<k>", "a1.h1->logits"],
    ["a1.h0->logits"],
  ]);
  expect([ofEdges, ofNodes]).toEqual([2 / 6, 2 / 5]);
  expect(edges.map(({ kept }) => kept)).toEqual([undefined, undefined, undefined, true]);
  expect(compared([], [], "circuit")).toMatchObject({ ofEdges: 1, ofNodes: 1 });
  expect(compared(circuit, circuit, "kept")).toMatchObject({
    ofEdges: 1,
    here: [],
    there: [],
    edges: circuit,
  });
});

test("a circuit is kept, compared and dropped", async () => {
  const { el, sent } = await showCircuit();
  await click(part(el, "keep"));
  expect(sent.at(-1)).toMatchObject({ method: "keep_circuit" });
  expect(maybe(el, "compare")).toBeNull();
  const both = await showCircuit(circuitTraits({ kept: KEPT, kept_name: "<i>.json" }));
  expect(part(both.el, "alike").textContent).toBe(
    "kept: <i>.json; 2 edges in both, 3 only here, 1 only there",
  );
  expect(part(both.el, "compare").textContent).toContain("Jaccard 0.33 of edges, 0.40 of nodes");
  await choose(both.el, "shows", 1);
  expect(nodeNames(both.el)).toEqual(["input", "m0", "a1.h0", "logits"]);
  await click(part(both.el, "drop-kept"));
  expect(both.sent.at(-1)).toMatchObject({ method: "drop_circuit" });
});

test("a file's text and name are sent, the same file twice, too", async () => {
  const { el, sent } = await showCircuit();
  const input = part<HTMLInputElement>(el, "circuit-file");
  for (let times = 1; times <= 2; times++) {
    Object.defineProperty(input, "files", {
      value: [new File(["A0.1->A1.2.K"], "ioi.txt")],
      configurable: true,
    });
    input.dispatchEvent(new Event("change", { bubbles: true }));
    await eventually(() => expect(sent).toHaveLength(times));
  }
  expect(sent.at(-1)).toMatchObject({
    method: "read_circuit",
    params: { text: "A0.1->A1.2.K", name: "ioi.txt" },
  });
});

test("a saved page compares, and keeps nothing", async () => {
  const { el } = await circuitWithoutKernel(circuitTraits({ kept: KEPT, shows: "difference" }));
  expect([maybe(el, "keep"), maybe(el, "drop-kept"), maybe(el, "circuit-file")]).toEqual([null, null, null]);
  expect(nodeNames(el)).toEqual(["input", "a0.h1", "a1.h0", "a1.h1", "logits"]);
});
