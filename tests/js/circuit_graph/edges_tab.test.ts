// The first tab: the circuit at the slider's size, a pinned node, and what is under the pointer.
import { expect, test, vi } from "vitest";
import { circuitOf, decodeGraph } from "../../../js/panels/circuit_graph/graph";
import { edgeRows } from "../../../js/panels/circuit_graph/tools";
import { eventually } from "../eventually";
import { maybe, part, press, settled } from "../helpers";
import { choose } from "../shown_heatmap";
import { circuitTraits, INFO, makeGraph } from "./circuits";
import {
  circuitWithoutKernel,
  click,
  drag,
  node,
  nodeNames,
  pointAt,
  rowButton,
  rowsOf,
  showCircuit,
} from "./shown_circuit";

const sizeOf = (el: HTMLElement) => part(el, "circuit-size").textContent;
const pressed = (el: HTMLElement) =>
  el.querySelector<HTMLElement>('[data-node][aria-pressed="true"]')?.dataset.node ?? null;
const dimmed = (el: HTMLElement) =>
  [...el.querySelectorAll<HTMLElement>('[data-dim="true"]')].map(({ dataset }) => dataset.node);

test("the circuit is drawn, named, counted and listed", async () => {
  const { el, sent } = await showCircuit();
  expect(part(el, "subtitle").textContent).toBe("logit difference; 100% is the gap between the prompts");
  expect(nodeNames(el)).toEqual(["input", "a0.h1", "m0", "a1.h1", "logits"]);
  expect(node(el, "a1.h1").title).toContain(
    "head 1.1. Click to see what it reads and who reads it. Shift and click",
  );
  expect(sizeOf(el)).toBe("5 edges of 38, 5 nodes");
  expect(rowsOf(el, "largest")).toEqual([
    "embed \u2192 0.1 v+50%",
    "0.1 \u2192 1.0\u20131 k\u221240%",
    "1.1 \u2192 logits+30%",
    "mlp 0 \u2192 logits+20%",
    "embed \u2192 mlp 0+10%",
  ]);
  expect(part(el, "largest").querySelector(".hs-fill-corrupt")).not.toBeNull();
  expect(sent).toEqual([]);
});

test("without a gap the sizes are in the metric's unit, and the title says so", async () => {
  const { el } = await showCircuit(
    circuitTraits({ result: makeGraph({ baselines: { clean: 1, corrupt: 1 } }) }),
  );
  expect(part(el, "subtitle").textContent).toContain("there is no scale");
  expect(rowButton(el, "largest", 0).title).toContain("embed \u2192 0.1 v: +5.00");
});

test("dragging the slider redraws without a message, and its release writes the size", async () => {
  const { el, model, sent } = await showCircuit();
  const saved = vi.spyOn(model, "save_changes");
  await drag(el, 6); // the sizes are 1 to 7
  expect(nodeNames(el)).toContain("a1.h1");
  expect(sizeOf(el)).toBe("6 edges of 38, 5 nodes; 1 more led nowhere");
  expect([model.get("edges"), saved.mock.calls.length]).toEqual([5, 0]);
  await drag(el, 2, true);
  expect(sizeOf(el)).toBe("3 edges of 38, 4 nodes");
  expect([model.get("edges"), saved.mock.calls.length]).toEqual([3, 1]);
  expect(part<HTMLInputElement>(el, "edges").getAttribute("aria-valuetext")).toBe("3 edges");
  expect(sent).toEqual([]);
});

test("what Python sets moves the slider", async () => {
  const { el, model } = await showCircuit();
  model.set("edges", 3);
  await settled();
  expect(part<HTMLInputElement>(el, "edges").value).toBe("2");
  expect(nodeNames(el)).toEqual(["input", "a0.h1", "a1.h1", "logits"]);
});

test("a circuit of no edges says what to do", async () => {
  const { el } = await showCircuit(circuitTraits({ edges: 1 }));
  expect(nodeNames(el)).toEqual([]);
  expect(part(el, "largest").textContent).toContain("Move the slider to the right.");
  expect(sizeOf(el)).toBe("0 edges of 38, 0 nodes; 1 more led nowhere");
});

test("a click pins a node, lists what it reads and who reads it, and dims the rest", async () => {
  const { el, model } = await showCircuit();
  await click(node(el, "a1.h1"));
  expect(model.get("selection")).toEqual({ activation: "z", layer: 1, head: 1 });
  expect(pressed(el)).toBe("a1.h1");
  expect(part(el, "node").textContent).toBe("head 1.1 reads 1, read by 1");
  expect(rowsOf(el, "reads")).toEqual(["k: 0.1\u221240%"]);
  expect(rowsOf(el, "read-by")).toEqual(["logits+30%"]);
  expect(dimmed(el)).toEqual(["m0"]);
  await click(node(el, "a1.h1"));
  expect(model.get("selection")).toBeNull();
  expect([pressed(el), dimmed(el)]).toEqual([null, []]);
  expect(rowsOf(el, "largest")).toHaveLength(5);
});

test("the ends say what they are", async () => {
  const { el } = await showCircuit(circuitTraits({ selection: { activation: "logits" } }));
  expect(part(el, "read-by").textContent).toContain("It is what the metric reads.");
  await click(node(el, "input"));
  expect(part(el, "reads").textContent).toContain("It is where the prompt enters.");
});

test("a click beside the nodes unpins, and so does Escape", async () => {
  const { el, model } = await showCircuit(circuitTraits({ selection: { layer: 1, head: 1 } }));
  expect(pressed(el)).toBe("a1.h1");
  await click(part(el, "circuit"));
  expect(model.get("selection")).toBeNull();
  await click(node(el, "m0"));
  expect(press(node(el, "m0"), "Escape").defaultPrevented).toBe(true);
  expect(model.get("selection")).toBeNull();
});

test("a row of a list pins the node at the other end", async () => {
  const { el, model } = await showCircuit();
  await click(rowButton(el, "largest", 3));
  expect(model.get("selection")).toEqual({ activation: "mlp_out", layer: 0 });
});

test("arrow keys move between nodes, one of which Tab reaches", async () => {
  const { el } = await showCircuit();
  const reached = () => [...el.querySelectorAll<HTMLElement>('[data-node][tabindex="0"]')];
  expect(reached().map(({ dataset }) => dataset.node)).toEqual(["logits"]);
  node(el, "logits").focus();
  for (const key of ["ArrowDown", "ArrowDown"]) {
    expect(press(document.activeElement as HTMLElement, key).defaultPrevented).toBe(true);
    await settled();
  }
  expect((document.activeElement as HTMLElement).dataset.node).toBe("a0.h1");
  expect(reached().map(({ dataset }) => dataset.node)).toEqual(["a0.h1"]);
  press(document.activeElement as HTMLElement, "ArrowRight");
  await settled();
  expect((document.activeElement as HTMLElement).dataset.node).toBe("m0");
  expect(press(document.activeElement as HTMLElement, "ArrowRight").defaultPrevented).toBe(false);
  expect(press(document.activeElement as HTMLElement, "a").defaultPrevented).toBe(false);
});

test("a node under the pointer is listed while it is there, and an edge is read out", async () => {
  const { el } = await showCircuit();
  await pointAt(node(el, "a0.h1"));
  expect(part(el, "node").textContent).toBe("head 0.1 reads 1, read by 1");
  part(el, "circuit").dispatchEvent(new PointerEvent("pointerleave"));
  await settled();
  expect(maybe(el, "node")).toBeNull();
  expect(part(el, "under-pointer").textContent).toContain("Blue carries");
  await pointAt(rowButton(el, "largest", 1));
  expect(part(el, "under-pointer").textContent).toBe(
    "0.1 \u2192 1.0\u20131 k \u221240% of the gap (\u22124.00)",
  );
  expect(dimmed(el)).toEqual(["input", "m0", "logits"]);
  await pointAt(rowButton(el, "largest", 1), false);
  expect(dimmed(el)).toEqual([]);
});

test("settings are asked for together", async () => {
  const { el, sent } = await showCircuit();
  choose(el, "rules", 1);
  await settled();
  expect(sent.at(-1)).toMatchObject({
    method: "edge_attribution",
    params: { rules: "relp", ig_steps: 0, direction: "noise", metric: "logit_diff" },
  });
  choose(el, "metric", 1);
  expect(sent.at(-1)?.params).toMatchObject({ rules: "relp", metric: "logit" });
});

test("from the click on, until its answer is there, the graph is faded and named", async () => {
  const asked = (id: string) => ({ id, method: "edge_attribution", params: {} });
  const { el, model, sent, answer } = await showCircuit(circuitTraits({ asked: asked("graph-1") }));
  const stale = () => part(el, "graph-result").dataset.stale;
  expect(stale()).toBe("false");
  choose(el, "direction", 0);
  await settled();
  expect(stale()).toBe("true");
  await eventually(() => expect(part(el, "faded").textContent).toBe("Faded: the last graph."));
  const id = sent.at(-1)?.id ?? "";
  model.set("asked", asked(id));
  answer("accepted");
  model.set("result", makeGraph({ id }));
  answer("result");
  await settled();
  await eventually(() => expect(stale()).toBe("false"));
});

test("a graph that the user gave has no settings of an estimate", async () => {
  const { el } = await showCircuit(circuitTraits({ info: { ...INFO, given: true } }));
  for (const name of ["rules", "direction", "ig_steps", "metric"]) expect(maybe(el, name)).toBeNull();
  expect(nodeNames(el)).toHaveLength(5);
});

test("while nothing is there it says what happens, and an error is said in place of it", async () => {
  const { el, model } = await showCircuit(circuitTraits({ result: null, status: "running" }));
  expect(part(el, "nothing").textContent).toBe("Estimating the edges\u2026");
  expect(maybe(el, "copy")).toBeNull();
  model.set("status", "cancelled");
  await settled();
  expect(part(el, "nothing").textContent).toBe("Not run yet: press Run.");
  model.set("error", { message: "This metric has no gradient.", field: "metric" });
  model.set("status", "error");
  await settled();
  expect(part(el, "error").textContent).toBe("This metric has no gradient.");
  expect(maybe(el, "nothing")).toBeNull();
});

test("a graph of an unknown format is refused with a sentence", async () => {
  const { el } = await showCircuit(circuitTraits({ result: makeGraph({ schema_version: 3 }) }));
  expect(part(el, "error").textContent).toContain("format 3");
});

test("the table has the circuit's edges with their scores and shares", () => {
  expect(edgeRows(circuitOf(decodeGraph(makeGraph()), 3, []), "logit difference")).toEqual([
    ["sender", "receiver", "logit difference", "part of the gap"],
    ["input", "a0.h1<v>", "5", "0.5"],
    ["a0.h1", "a1.h0<k>", "-4", "-0.4"],
    ["a1.h1", "logits", "3", "0.3"],
  ]);
});

test("a saved page keeps the slider, pins and the pointer, and asks for nothing", async () => {
  const { el, model } = await circuitWithoutKernel();
  expect(part(el, "params").textContent).toBe("logit difference, gradient");
  expect(el.querySelector("select:not([data-hs=save], [data-hs=arrange]), textarea")).toBeNull();
  for (const name of ["run", "cancel"]) expect(maybe(el, name)).toBeNull();
  await drag(el, 2, true);
  expect([model.get("edges"), nodeNames(el).length]).toEqual([3, 4]);
  await click(node(el, "a0.h1"));
  expect(part(el, "node").textContent).toContain("head 0.1");
});

test("two views show one pin, each with its own pointer", async () => {
  const { els } = await showCircuit(circuitTraits(), 2);
  const [first, second] = els as unknown as [HTMLElement, HTMLElement];
  await click(node(first, "m0"));
  expect([pressed(first), pressed(second)]).toEqual(["m0", "m0"]);
  await pointAt(node(first, "input"));
  expect(part(second, "node").textContent).toContain("MLP 0");
});
