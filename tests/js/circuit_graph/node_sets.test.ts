// Sets of nodes: edits of the circuit, and what can be done with the nodes that are chosen.
import { expect, test } from "vitest";
import { circuitOf, decodeGraph, type Edit } from "../../../js/panels/circuit_graph/graph";
import { editWords, namesOf } from "../../../js/panels/circuit_graph/set_bar";
import { arrayJson, maybe, part, settled } from "../helpers";
import { circuitTraits, makeGraph, makeRobustness } from "./circuits";
import { circuitWithoutKernel, click, nodeNames, rowsOf, showCircuit } from "./shown_circuit";

const graph = decodeGraph(makeGraph());
const edgesAfter = (...edits: Edit[]) =>
  circuitOf(graph, 7, edits).map(({ from, receiver }) => `${from}->${receiver}`);

test("a circuit keeps the edges between nodes, or loses those of others, and what then dangles", () => {
  expect(edgesAfter({ keep: ["m0"] })).toEqual(["m0->logits", "input->m0"]);
  expect(edgesAfter({ remove: ["m0"] })).toEqual([
    "input->a0.h1<v>",
    "a0.h1->a1.h0<k>",
    "a1.h1->logits",
    "input->a1.h1<q>",
  ]);
  expect(edgesAfter({ remove: ["m0"] }, { remove: ["a0.h1"] })).toEqual(["a1.h1->logits", "input->a1.h1<q>"]);
  expect(edgesAfter({ keep: ["m0"] }, { remove: ["m0"] })).toEqual([]);
});

test("an input that heads share stays while one of them is there", () => {
  expect(edgesAfter({ remove: ["a1.h0"] })).toContain("a0.h1->a1.h0<k>");
  expect(edgesAfter({ keep: ["a0.h1", "a1.h1"] })).toContain("a0.h1->a1.h0<k>");
  expect(edgesAfter({ remove: ["a1.h0", "a1.h1"] })).not.toContain("a0.h1->a1.h0<k>");
});

test("nodes are named, of many the first, and edits are said in order", () => {
  const many = Array.from({ length: 9 }, (_, i) => `a0.h${i}`);
  expect(namesOf(many)).toBe("0.0, 0.1, 0.2, 0.3, 0.4, 0.5 and 3 more");
  expect(editWords([{ keep: ["m0", "a1.h1"] }, { remove: ["input"] }])).toBe(
    "only mlp 0, 1.1; then without embed",
  );
});

test("what can be done with chosen nodes is offered while some are chosen", async () => {
  expect(maybe((await showCircuit()).el, "set")).toBeNull();
  const { el, sent, model } = await showCircuit(circuitTraits({ chosen: ["m0", "a1.h1", "gone"] }));
  expect(part(el, "set").textContent).toContain("mlp 0, 1.1");
  const nodes = ["m0", "a1.h1"];
  for (const [name, method, params] of [
    ["keep-nodes", "keep_nodes", { nodes }],
    ["remove-nodes", "remove_nodes", { nodes }],
    ["ask-patch", "ask_of_nodes", { what: "patch", nodes }],
    ["ask-ablate", "ask_of_nodes", { what: "ablate", nodes }],
  ] as const) {
    await click(part(el, name));
    expect(sent.at(-1)).toMatchObject({ method, params });
  }
  await click(part(el, "choose-none"));
  expect([model.get("chosen"), maybe(el, "set")]).toEqual([[], null]);
});

test("a group gets a name, or none is made", async () => {
  const { el, sent } = await showCircuit(circuitTraits({ chosen: ["m0"] }));
  const name = async (text: string) => {
    await click(part(el, "group"));
    const input = part<HTMLInputElement>(el, "group-name");
    input.value = text;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.form?.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
    await settled();
  };
  await name("  ");
  expect([sent, maybe(el, "group-name")]).toEqual([[], null]);
  await name(" movers ");
  expect(sent.at(-1)).toMatchObject({ method: "group_nodes", params: { nodes: ["m0"], name: "movers" } });
});

test("edits are drawn, said and undone; groups are opened", async () => {
  const traits = circuitTraits({ edits: [{ remove: ["m0"] }], groups: { "<b>": ["a1.h1", "m0"] }, edges: 7 });
  const { el, sent } = await showCircuit(traits);
  expect(part(el, "circuit-size").textContent).toBe("4 edges of 38, 4 nodes; 1 more led nowhere");
  expect(nodeNames(el)).not.toContain("m0");
  expect(part(el, "edits").textContent).toBe("without mlp 0Undo<b> (2)\u00d7");
  await click(part(el, "undo-edit"));
  await click(part(el, "ungroup"));
  expect(sent.map(({ method }) => method)).toEqual(["undo_edit", "ungroup_nodes"]);
});

const question = (what: string, nodes = ["m0", "a1.h1"]) => ({ what, nodes });
const effects = (values: number[], direction = "noise") => ({
  schema_version: 1,
  method: "patch_together",
  params: { direction },
  normalized: arrayJson("float32", [values.length], values),
});

test("patched nodes are shown together and each alone, with the sign of the clean prompt", async () => {
  const traits = circuitTraits({ question: question("patch"), answer: effects([-0.5, -0.3, 0.1]) });
  const { el, sent } = await showCircuit(traits);
  expect(part(el, "answer").textContent).toContain(
    "Together they carry +50% of the gap; each alone, +20% in sum.",
  );
  expect(rowsOf(el, "alone")).toEqual(["mlp 0+30%", "1.1\u221210%"]);
  await click(part(el, "close-answer"));
  expect(sent.at(-1)).toMatchObject({ method: "close_answer" });
});

test("of one node, and of direct paths, there is one number", async () => {
  const one = await showCircuit(
    circuitTraits({ question: question("patch", ["m0"]), answer: effects([0.5, 0.5], "denoise") }),
  );
  expect(part(one.el, "answer").textContent).toContain("+50% of the gap goes through this node.");
  const direct = await showCircuit(circuitTraits({ question: question("paths"), answer: effects([-0.25]) }));
  expect(part(direct.el, "answer").textContent).toContain("+25% of the gap goes straight from these 2 nodes");
});

test("ablated nodes and nodes run alone show what is kept in every setting", async () => {
  const traits = circuitTraits({ question: question("ablate"), answer: makeRobustness() });
  const { el } = await showCircuit(traits);
  expect(part(el, "spread").textContent).toBe(
    "Without these 2 nodes the model keeps 0% to 85% of what it does, depending on what stands in for the rest.",
  );
  expect(part(el, "robustness").querySelector("button")).toBeNull();
  const alone = await showCircuit(
    circuitTraits({ question: question("faithfulness"), answer: makeRobustness() }),
  );
  expect(part(alone.el, "spread").textContent).toContain("These 2 nodes alone keep 0% to 85%");
});

test("a question without an answer says that it runs, and a page without a kernel offers nothing", async () => {
  const { el } = await showCircuit(circuitTraits({ question: question("patch") }));
  expect(part(el, "answer").textContent).toContain("Running");
  const traits = {
    edits: [{ remove: ["m0"] }],
    chosen: ["m0"],
    question: question("paths"),
    answer: effects([-0.25]),
  };
  const page = await circuitWithoutKernel(circuitTraits(traits));
  expect(part(page.el, "answer").querySelector("button")).toBeNull();
  expect([maybe(page.el, "set"), maybe(page.el, "undo-edit")]).toEqual([null, null]);
  await click(part(page.el, "edits"));
});
