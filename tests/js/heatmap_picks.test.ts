import { expect, test } from "vitest";
import { arrayJson, makeResult, maybe, part, press, settled } from "./helpers";
import { cellText, clickCell, show, withoutKernel } from "./shown_heatmap";
import { makeUnequal } from "./sweeps";

const picked = (el: HTMLElement) =>
  [...el.querySelectorAll<HTMLElement>('[data-hs="picked"]')]
    .map((outline) => Number(outline.dataset.cell))
    .sort();

/** Cells are 66 by 24 or so in the fixture's grid; row 0 is the lowest of three. */
function pointer(el: HTMLElement, type: string, index: number, options: PointerEventInit = {}) {
  const area = part(el, "cells");
  const width = Number.parseFloat(area.style.width) / 6;
  const at = { clientX: (index % 6) * width + 12, clientY: (2 - Math.floor(index / 6)) * 24 + 12 };
  area.dispatchEvent(
    new PointerEvent(type, { bubbles: true, button: 0, pointerType: "mouse", ...at, ...options }),
  );
}

async function drag(el: HTMLElement, from: number, to: number, options: PointerEventInit = {}) {
  pointer(el, "pointerdown", from, options);
  pointer(el, "pointermove", to, options);
  await settled();
  pointer(el, "pointerup", to, options);
  pointer(el, "click", to, options);
  await settled();
}

const TOGETHER = {
  cells: [
    { activation: "resid_pre", layer: 1, position: 4, side: "corrupt" },
    { activation: "resid_pre", layer: 2, position: 5, side: "corrupt" },
  ],
  normalized: 0.93,
  value: 4.2,
  sum: 1.21,
  singles: [0.4, 0.81],
  metric: "logit_diff",
};

test("shift-click picks cells and takes them out again, and pins nothing", async () => {
  const { el, model } = await show();
  for (const cell of [10, 17, 17, 11]) {
    clickCell(el, cell, { shiftKey: true });
    await settled();
  }
  expect(picked(el)).toEqual([10, 11]);
  expect(model.get("selection")).toBeNull();
  expect(cellText(el, 10)).toContain(", picked");
  expect(cellText(el, 17)).not.toContain(", picked");
});

test("Shift and Space pick by keyboard, and Escape clears what is picked before the pin", async () => {
  const { el, model } = await show({ selection: { layer: 0, position: 4 } });
  const grid = part(el, "grid");
  press(grid, " ", { shiftKey: true });
  await settled();
  press(grid, "ArrowUp");
  await settled();
  press(grid, " ", { shiftKey: true });
  await settled();
  expect(picked(el)).toEqual([10, 4]);
  press(grid, "Escape");
  await settled();
  expect(picked(el)).toEqual([]);
  expect(model.get("selection")).not.toBeNull();
  press(grid, "Escape");
  expect(model.get("selection")).toBeNull();
});

test("dragging picks a rectangle, and with Shift adds another", async () => {
  const { el, model } = await show();
  await drag(el, 4, 11);
  expect(picked(el)).toEqual([10, 11, 4, 5]);
  expect(model.get("selection")).toBeNull();
  await drag(el, 0, 1);
  expect(picked(el)).toEqual([0, 1]);
  await drag(el, 6, 7, { shiftKey: true });
  expect(picked(el)).toEqual([0, 1, 6, 7]);
});

test("while dragging the rectangle is drawn; a finger scrolls instead", async () => {
  const { el } = await show();
  pointer(el, "pointerdown", 4);
  pointer(el, "pointermove", 11);
  await settled();
  expect(maybe(el, "brush")).not.toBeNull();
  pointer(el, "pointercancel", 11);
  await settled();
  expect(maybe(el, "brush")).toBeNull();
  pointer(el, "pointerdown", 4, { pointerType: "touch" });
  pointer(el, "pointermove", 11, { pointerType: "touch" });
  await settled();
  expect(maybe(el, "brush")).toBeNull();
});

test("a click by an unsteady hand still pins", async () => {
  const { el, model } = await show();
  pointer(el, "pointerdown", 4);
  const area = part(el, "cells");
  const width = Number.parseFloat(area.style.width) / 6;
  area.dispatchEvent(
    new PointerEvent("pointermove", { bubbles: true, clientX: 4 * width + 18, clientY: 2 * 24 + 14 }),
  );
  await settled();
  pointer(el, "pointerup", 4);
  pointer(el, "click", 4);
  expect(model.get("selection")).toEqual({ activation: "resid_pre", layer: 0, position: 4, side: "corrupt" });
});

test("cells without a counterpart can't be picked", async () => {
  const { el } = await show({ result: makeUnequal() });
  for (const cell of [3, 5]) {
    clickCell(el, cell, { shiftKey: true });
    await settled();
  }
  expect(picked(el)).toEqual([5]);
});

test("two cells or more can be patched together", async () => {
  const { el, sent } = await show();
  clickCell(el, 10, { shiftKey: true });
  await settled();
  expect(maybe(el, "patch-together")).toBeNull();
  clickCell(el, 17, { shiftKey: true });
  await settled();
  expect(part(el, "picks").textContent).toContain("2 cells picked");
  part(el, "patch-together").click();
  expect(sent.at(-1)).toMatchObject({ method: "patch_together", params: { cells: TOGETHER.cells } });
  part(el, "clear-picks").click();
  await settled();
  expect(picked(el)).toEqual([]);
});

test("what they did together is shown with the sum, as long as the same cells are picked", async () => {
  const { el, model } = await show();
  model.set("together", TOGETHER);
  await settled();
  expect(picked(el)).toEqual([10, 17]);
  expect(part(el, "together").textContent).toBe("together 0.93, sum of single effects 1.21");
  expect(maybe(el, "patch-together")).toBeNull();
  clickCell(el, 5, { shiftKey: true });
  await settled();
  expect(maybe(el, "together")).toBeNull();
  expect(maybe(el, "patch-together")).not.toBeNull();
});

test("without a scale the joint effect is the metric's value; of another metric nothing is said", async () => {
  const { el, model } = await show({ together: { ...TOGETHER, normalized: null, sum: null } });
  expect(part(el, "together").textContent).toBe("together +4.20");
  model.set("together", { ...TOGETHER, metric: "prob" });
  await settled();
  expect(maybe(el, "together")).toBeNull();
});

test("picks stay over a new result of the same places, and go with another map", async () => {
  const { el, model } = await show({ together: TOGETHER });
  model.set("result", makeResult({ id: "sweep-2" }));
  await settled();
  expect(picked(el)).toEqual([10, 17]);
  const labels = { layer: ["0", "1", "3"], position: ["a", "b", "c", "d", "e", "f"] };
  model.set("result", makeResult({ id: "sweep-3", labels }));
  await settled();
  expect(picked(el)).toEqual([]);
});

test("a saved page shows what was found, and offers nothing that needs a kernel", async () => {
  const { el } = await withoutKernel({ together: TOGETHER });
  expect(part(el, "together").textContent).toContain("0.93");
  expect(maybe(el, "clear-picks")).toBeNull();
  clickCell(el, 5, { shiftKey: true });
  await settled();
  expect(picked(el)).toEqual([10, 17]);
});

test("more than 500 cells are too many", async () => {
  const shape = [30, 20];
  const flat = Array.from({ length: 600 }, () => 0.5);
  const numbers = arrayJson("float32", shape, flat);
  const labels = {
    layer: Array.from({ length: 30 }, (_, i) => String(i)),
    position: flat.slice(0, 20).map(String),
  };
  const state = arrayJson("uint8", shape, Array(600).fill(1));
  const cells = flat.slice(0, 501).map((_, i) => ({ layer: Math.floor(i / 20), position: i % 20 }));
  const result = makeResult({ labels, values: numbers, normalized: numbers, state });
  const { el } = await show({ result, together: { ...TOGETHER, cells, metric: "prob" } });
  expect(part(el, "picks").textContent).toContain("at most 500");
  expect(part<HTMLButtonElement>(el, "patch-together").disabled).toBe(true);
});
