// The picture: moved and enlarged, arranged by head or by flow, its sets and groups, and its table.
import { expect, test, vi } from "vitest";
import { maybe, part, press, settled } from "../helpers";
import { choose } from "../shown_heatmap";
import { circuitTraits, makeGraph, pathTraits } from "./circuits";
import { circuitWithoutKernel, click, node, nodeNames, pointAt, rowsOf, showCircuit } from "./shown_circuit";

const inner = (el: HTMLElement) => part(el, "circuit");
const scaleOf = (el: HTMLElement) => Number(/scale\((.*)\)/.exec(inner(el).style.transform)?.[1]);
test("a circuit that fits is as large as life, and has no buttons for its size", async () => {
  const { el } = await showCircuit();
  expect(scaleOf(el)).toBe(1);
  expect(maybe(el, "zoom-in")).toBeNull();
});

test("keys enlarge it and show all of it again; buttons are there while it is larger", async () => {
  const { el } = await showCircuit();
  expect(press(node(el, "m0"), "+").defaultPrevented).toBe(true);
  await settled();
  expect(scaleOf(el)).toBe(1.5);
  await click(part(el, "zoom-in"));
  expect(scaleOf(el)).toBe(2.25);
  press(node(el, "m0"), "-");
  await settled();
  expect(scaleOf(el)).toBe(1.5);
  press(node(el, "m0"), "0");
  await settled();
  expect(scaleOf(el)).toBe(1);
  expect(maybe(el, "zoom-in")).toBeNull();
  for (let i = 0; i < 9; i++) press(node(el, "m0"), "+");
  expect(scaleOf(el)).toBe(4);
});

test("a node that gets the focus comes into sight", async () => {
  const { el } = await showCircuit();
  for (let i = 0; i < 4; i++) press(node(el, "m0"), "+");
  const before = inner(el).style.transform;
  node(el, "m0").focus();
  const there = inner(el).style.transform;
  node(el, "input").focus();
  expect(new Set([before, there, inner(el).style.transform]).size).toBeGreaterThan(1);
  const [, x, y] = /translate\((.*)px, (.*)px\)/.exec(inner(el).style.transform) ?? [];
  const at = (side: string) => Number.parseFloat(node(el, "input").style[side as "left"]) * scaleOf(el);
  expect(at("left") + Number(x)).toBeGreaterThanOrEqual(0);
  expect(at("top") + Number(y)).toBeLessThan(
    Number.parseFloat((inner(el).parentElement as HTMLElement).style.height),
  );
});

test("the arrangement is a trait; a circuit saved before there was one is arranged by head", async () => {
  const { el, model, sent } = await showCircuit(circuitTraits({ arrange: undefined }));
  expect(inner(el).dataset.arrange).toBe("head");
  const saved = vi.spyOn(model, "save_changes");
  choose(el, "arrange", 1);
  await settled();
  expect([model.get("arrange"), inner(el).dataset.arrange, saved.mock.calls.length]).toEqual([
    "flow",
    "flow",
    1,
  ]);
  expect(nodeNames(el)).toEqual(["input", "a0.h1", "m0", "a1.h1", "logits"]);
  expect(sent).toEqual([]);
});

test("paths are arranged by the same trait", async () => {
  const { el } = await showCircuit(pathTraits({ arrange: "flow" }));
  expect(inner(el).dataset.arrange).toBe("flow");
});

test("the table has the edges on the screen, the largest first, while it is asked for", async () => {
  const { el } = await showCircuit();
  expect(part(el, "table").getAttribute("aria-expanded")).toBe("false");
  await click(part(el, "table"));
  const rows = () =>
    [...part(el, "edge-table").querySelectorAll("tr")].map((row) =>
      [...row.children].map(({ textContent }) => textContent),
    );
  expect(rows()).toEqual([
    ["sender", "receiver", "input", "of the gap", "logit difference"],
    ["embed", "0.1", "value", "+50%", "+5.00"],
    ["0.1", "1.0\u20131", "key", "\u221240%", "\u22124.00"],
    ["1.1", "logits", "stream", "+30%", "+3.00"],
    ["mlp 0", "logits", "stream", "+20%", "+2.00"],
    ["embed", "mlp 0", "stream", "+10%", "+1.00"],
  ]);
  expect(part(el, "edge-table").tabIndex).toBe(0);
  await pointAt(part(el, "edge-table").querySelectorAll("tbody tr")[1] as HTMLElement);
  expect(part(el, "under-pointer").textContent).toContain("1.0\u20131 k");
  await click(part(el, "table"));
  expect(maybe(el, "edge-table")).toBeNull();
});

test("a step of paths has what it carries in its table", async () => {
  const { el } = await showCircuit(pathTraits());
  await click(part(el, "table"));
  expect(part(el, "edge-table").querySelector("tbody tr")?.textContent).toBe("1.1logitsstream+50%");
});

test("Shift and a click, or Shift and Enter, toggle a node in the set and pin nothing", async () => {
  const { el, model } = await showCircuit();
  const shifted = (name: string) =>
    node(el, name).dispatchEvent(new MouseEvent("click", { shiftKey: true, bubbles: true }));
  shifted("m0");
  await settled();
  press(node(el, "a0.h1"), "Enter", { shiftKey: true });
  await settled();
  expect([model.get("chosen"), model.get("selection")]).toEqual([["m0", "a0.h1"], null]);
  expect(node(el, "m0").getAttribute("aria-label")).toBe("MLP 0, in the set");
  expect(node(el, "m0").dataset.chosen).toBe("true");
  expect(node(el, "m0").title).toContain("Shift+Enter");
  shifted("m0");
  expect(model.get("chosen")).toEqual(["a0.h1"]);
});

test("a rectangle with Shift chooses the nodes in it, and a click with Shift nothing", async () => {
  const { el, model } = await showCircuit();
  const point = (type: string, x: number, y: number) =>
    inner(el).dispatchEvent(
      new PointerEvent(type, {
        clientX: x,
        clientY: y,
        shiftKey: true,
        pointerId: 1,
        button: 0,
        bubbles: true,
      }),
    );
  // Without a layout of the page, the picture begins at 0, 0.
  point("pointerdown", 0, 0);
  await settled();
  point("pointermove", 2, 2);
  await settled();
  point("pointerup", 2, 2);
  expect(model.get("chosen")).toEqual([]);
  point("pointerdown", 0, 0);
  await settled();
  point("pointermove", 2000, 2000);
  await settled();
  expect(part(el, "band").style.width).toBe("2000px");
  point("pointerup", 2000, 2000);
  await settled();
  expect(model.get("chosen")).toEqual(["input", "a0.h1", "m0", "a1.h1", "logits"]);
  expect(maybe(el, "band")).toBeNull();
});

test("a page without a kernel has no sets, and still all ways to look", async () => {
  const { el, model } = await circuitWithoutKernel(circuitTraits({ arrange: "flow" }));
  node(el, "m0").dispatchEvent(new MouseEvent("click", { shiftKey: true, bubbles: true }));
  await settled();
  expect(model.get("selection")).toEqual({ activation: "mlp_out", layer: 0 });
  expect(node(el, "m0").title).not.toContain("Shift");
  expect(inner(el).dataset.arrange).toBe("flow");
  await click(part(el, "table"));
  expect(part(el, "edge-table").querySelectorAll("tbody tr")).toHaveLength(5);
});

test("a group is one node with its name and count, and keeps its place among the keys", async () => {
  const traits = circuitTraits({ groups: { "<b>early</b>": ["a0.h1", "m0"] }, result: makeGraph() });
  const { el, sent } = await showCircuit(traits);
  expect(nodeNames(el)).toEqual(["input", "a1.h1", "logits", "group <b>early</b>"]);
  const group = node(el, "group <b>early</b>");
  expect([group.textContent, group.querySelector("b")]).toEqual(["<b>early</b> 2", null]);
  expect(group.getAttribute("aria-label")).toBe("the group <b>early</b>, 2 nodes");
  await pointAt(group);
  expect(part(el, "node").textContent).toBe("the group <b>early</b> reads 1, read by 2");
  expect(rowsOf(el, "reads")).toEqual(["embed+60%"]);
  expect(rowsOf(el, "read-by")).toEqual(["1.1 k\u221240%", "logits+20%"]);
  await click(part(el, "table"));
  expect(part(el, "edge-table").querySelector("tbody tr")?.textContent).toBe(
    "embed<b>early</b>stream+60%+6.00",
  );
  node(el, "input").focus();
  press(node(el, "input"), "ArrowUp");
  await settled();
  expect((document.activeElement as HTMLElement).dataset.node).toBe("group <b>early</b>");
  await click(group);
  expect(sent.at(-1)).toMatchObject({ method: "ungroup_nodes", params: { name: "<b>early</b>" } });
});
