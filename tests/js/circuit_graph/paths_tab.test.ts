// The second tab: the trail of receivers, the senders of its last step, and what a click asks for.
import { expect, test } from "vitest";
import { decodeGraph } from "../../../js/panels/circuit_graph/graph";
import {
  decodePath,
  edgesOf,
  inputsOfNode,
  type Path,
  stepOf,
  unfinished,
} from "../../../js/panels/circuit_graph/paths";
import { CircuitState } from "../../../js/panels/circuit_graph/state";
import { pathRows } from "../../../js/panels/circuit_graph/tools";
import { MemoryModel } from "../../../js/report/memory_model";
import { eventually } from "../eventually";
import { maybe, part, settled } from "../helpers";
import { choose } from "../shown_heatmap";
import { circuitTraits, makeGraph, makePath, PATHS, pathTraits, TRAIL } from "./circuits";
import {
  circuitWithoutKernel,
  click,
  node,
  nodeNames,
  pointAt,
  rowButton,
  rowsOf,
  showCircuit,
} from "./shown_circuit";

const paths = PATHS.map(decodePath);
const crumbs = (el: HTMLElement) => part(el, "trail").querySelectorAll<HTMLElement>('[data-hs="crumb"]');

test("senders come strongest first, without those that change nothing or were not run", () => {
  expect(paths[0]?.senders.map(({ name }) => name)).toEqual(["a1.h1", "m0", "a0.h1", "m1", "a0.h0", "a1.h0"]);
  const some = decodePath(makePath(["logits"], { m0: 0.1, m1: -0.5, input: null }));
  expect(some.senders.map(({ name }) => name)).toEqual(["m1", "m0"]);
  expect(some.left).toBe(4);
});

test("the strongest senders of each step are drawn", () => {
  const { json } = decodeGraph(makeGraph());
  const drawn = edgesOf(paths, json).map(({ from, to, part, share }) => [from, to, part, share]);
  expect(drawn).toEqual([
    ["a1.h1", "logits", "", expect.closeTo(0.5)],
    ["m0", "logits", "", expect.closeTo(0.3)],
    ["a0.h1", "logits", "", expect.closeTo(0.2)],
    ["a0.h1", "a1.h1", "", expect.closeTo(-0.4)],
    ["m0", "a1.h1", "", expect.closeTo(0.1)],
  ]);
  const key = decodePath(makePath(["a1.h0<k>"], { m0: 0.2 }));
  expect(edgesOf([null, key], json)[0]).toMatchObject({ part: "k", readers: ["a1.h0", "a1.h1"] });
});

test("a node's inputs, of heads that share them too", () => {
  const { json } = decodeGraph(makeGraph());
  const entries = (name: string) => Object.fromEntries(inputsOfNode(name, json));
  expect(entries("a1.h1")).toEqual({ q: "a1.h1<q>", k: "a1.h0<k>", v: "a1.h0<v>" });
  expect(entries("m1")).toEqual({ "": "m1" });
  expect([entries("input"), entries("logits")]).toEqual([{}, {}]);
});

test("a step goes on from the last one that a sender is drawn in", () => {
  expect(stepOf("a1.h1", paths)).toBe(0);
  expect(stepOf("a0.h1", paths)).toBe(1);
  expect(stepOf("input", paths)).toBe(0); // it is too weak to be drawn
});

test("a trail is finished when all of its senders were run", () => {
  expect(unfinished(TRAIL, paths)).toBe(false);
  expect(unfinished([...TRAIL, ["m0"]], paths)).toBe(true);
  expect(unfinished(TRAIL, [paths[0] as Path, decodePath(makePath(["a1.h1"], { m0: 1 }))])).toBe(true);
});

test("the steps are crumbs, and the last one's senders are listed", async () => {
  const { el } = await showCircuit(pathTraits());
  expect(part(el, "trail").textContent).toContain("logits\u2190 1.1");
  expect(part(el, "senders").querySelector("h3")?.textContent).toBe("Into head 1.1");
  expect(rowsOf(el, "senders")).toEqual(["0.1\u221240%", "mlp 0+10%", "embed+2.0%"]);
  expect(nodeNames(el)).toEqual(["a0.h1", "m0", "a1.h1", "logits"]);
  expect(node(el, "a1.h1").dataset.marked).toBe("true");
  expect(node(el, "a1.h1").getAttribute("aria-pressed")).toBe("true");
});

test("a click in the list makes a sender the next receiver", async () => {
  const { el, model, sent } = await showCircuit(pathTraits());
  await click(rowButton(el, "senders", 1));
  expect(sent.at(-1)).toMatchObject({ method: "follow", params: { receivers: ["m0"], step: 2 } });
  expect(model.get("selection")).toEqual({ activation: "mlp_out", layer: 0 });
});

test("a click in the picture goes on where the sender is drawn, and leaves out what came after", async () => {
  const path = makePath(["a1.h1"], { "a0.h1": -0.4, m0: 0.01 });
  const { el, sent } = await showCircuit(pathTraits({ paths: [PATHS[0], path] }));
  await click(node(el, "a0.h1"));
  expect(sent.at(-1)?.params).toEqual({ receivers: ["a0.h1"], step: 2 });
  await click(node(el, "m0"));
  expect(sent.at(-1)?.params).toEqual({ receivers: ["m0"], step: 1 });
});

test("what reads nothing is no receiver: the embedding is pinned, and asks for nothing", async () => {
  const path = makePath(["a1.h1"], { input: 0.4 });
  const { el, model, sent } = await showCircuit(pathTraits({ paths: [PATHS[0], path] }));
  expect(rowButton(el, "senders", 0).tagName).toBe("DIV");
  await click(node(el, "input"));
  expect(model.get("selection")).toEqual({ activation: "resid_pre", layer: 0 });
  expect(sent).toEqual([]);
});

test("crumbs, and receivers in the picture, go back to their step", async () => {
  const { el, model, sent } = await showCircuit(pathTraits());
  expect(crumbs(el)).toHaveLength(1); // the last one is where the view is
  await click(crumbs(el)[0] as HTMLElement);
  expect(sent.at(-1)).toMatchObject({ method: "back_to", params: { step: 0 } });
  await click(node(el, "logits"));
  expect(sent.at(-1)).toMatchObject({ method: "back_to", params: { step: 0 } });
  model.set("trail", [["logits"]]);
  model.set("paths", [PATHS[0]]);
  await settled();
  expect(crumbs(el)).toHaveLength(0);
  expect(rowsOf(el, "senders")).toHaveLength(6);
});

test("queries, keys and values can be patched apart", async () => {
  const { el, model, sent } = await showCircuit(pathTraits());
  expect(part(el, "input-all").getAttribute("aria-pressed")).toBe("true");
  await click(part(el, "input-k"));
  expect(sent.at(-1)).toMatchObject({ method: "follow", params: { receivers: ["a1.h0<k>"], step: 1 } });
  model.set("trail", [["logits"], ["a1.h0<k>"]]);
  await settled();
  expect(part(el, "input-k").getAttribute("aria-pressed")).toBe("true");
  expect(part(el, "input-all").getAttribute("aria-pressed")).toBe("false");
  expect(part(el, "senders").querySelector("h3")?.textContent).toBe("Into the key of heads 1.0\u20131");
  model.set("trail", [["logits"], ["m0"]]);
  await settled();
  expect(maybe(el, "input-all")).toBeNull(); // an MLP has one input
});

test("MLPs are frozen or recomputed", async () => {
  const { el, sent } = await showCircuit(pathTraits());
  choose(el, "mlps", 1);
  expect(sent.at(-1)).toMatchObject({ method: "path_mlps", params: { mlps: "recomputed" } });
});

test("a step that runs says so, and one that was stopped can be run", async () => {
  const { el, model, sent } = await showCircuit(pathTraits({ paths: [PATHS[0], null], status: "running" }));
  expect(part(el, "senders").textContent).toContain("Being patched\u2026");
  expect(maybe(el, "run")).toBeNull();
  model.set("status", "done");
  model.set("paths", [PATHS[0], makePath(["a1.h1"], { m0: 0.1 })]);
  await settled();
  expect(el.textContent).toContain("6 senders not run yet.");
  expect(maybe(el, "run")).toBeNull(); // the tab may have been opened a moment ago
  await eventually(() => part(el, "run"));
  await click(part(el, "run"));
  expect(sent.at(-1)).toMatchObject({ method: "run_again", params: {} });
});

test("a step without results that does not run does not say that it does", async () => {
  const { el } = await showCircuit(pathTraits({ paths: [], status: "done" }));
  expect(part(el, "senders").textContent).toContain("Being patched\u2026");
  await eventually(() => expect(part(el, "senders").textContent).toContain("Not run yet."));
});

test("before the graph is there it says what runs", async () => {
  const { el, model } = await showCircuit(circuitTraits({ tab: "paths", result: null, status: "running" }));
  expect(part(el, "nothing").textContent).toBe("Estimating the edges\u2026");
  model.set("status", "cancelled");
  await settled();
  expect(part(el, "nothing").textContent).toBe("Not run yet: press Run.");
});

test("the pointer reads out what a path carries", async () => {
  const { el } = await showCircuit(pathTraits());
  expect(part(el, "under-pointer").textContent).toContain("reaches the receiver and nothing else");
  await pointAt(rowButton(el, "senders", 0));
  expect(node(el, "logits").dataset.dim).toBe("false");
  expect(node(el, "m0").dataset.dim).toBe("true");
});

test("a table has the senders of every step", () => {
  const rows = pathRows(new CircuitState(new MemoryModel(pathTraits())));
  expect(rows[0]).toEqual(["step", "receivers", "sender", "part of the gap"]);
  expect(rows[1]).toEqual(["0", "logits", "a1.h1", "0.5"]);
  expect(rows.at(-1)).toEqual(["1", "a1.h1", "input", "0.02"]);
});

test("a saved page shows the steps, and a click pins without asking for anything", async () => {
  const { el, model } = await circuitWithoutKernel(pathTraits());
  expect(part(el, "trail").textContent).toContain("logits\u2190 1.1");
  expect(el.querySelector("select:not([data-hs=save], [data-hs=arrange])")).toBeNull();
  for (const name of ["crumb", "input-all", "run"]) expect(maybe(el, name)).toBeNull();
  expect(rowButton(el, "senders", 0).tagName).toBe("DIV");
  await click(node(el, "m0"));
  expect(model.get("selection")).toEqual({ activation: "mlp_out", layer: 0 });
  await click(part(el, "circuit"));
  expect(model.get("selection")).toBeNull();
});

test("a page that was saved without paths says so", async () => {
  const { el } = await circuitWithoutKernel(circuitTraits({ tab: "paths" }));
  expect(part(el, "nothing").textContent).toContain("No path was followed here");
});

test("of heads that share a key the pinned one stays the receiver when its query is chosen", async () => {
  const traits = pathTraits({
    trail: [["logits"], ["a1.h0<k>"]],
    selection: { activation: "z", layer: 1, head: 1 },
  });
  const { el, model, sent } = await showCircuit(traits);
  expect(part(el, "trail").textContent).toContain("1.0\u20131 key");
  expect(node(el, "a1.h1").getAttribute("aria-pressed")).toBe("true");
  await click(part(el, "input-q"));
  expect(sent.at(-1)?.params).toEqual({ receivers: ["a1.h1<q>"], step: 1 });
  model.set("selection", null);
  await settled();
  await click(part(el, "input-q"));
  expect(sent.at(-1)?.params).toEqual({ receivers: ["a1.h0<q>"], step: 1 });
});
