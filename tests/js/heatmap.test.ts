import { expect, test, vi } from "vitest";
import patchHeatmap from "../../js/panels/patch_heatmap";
import { flatBoard } from "../../js/panels/patch_heatmap/board";
import * as cells from "../../js/panels/patch_heatmap/cells";
import { toTable } from "../../js/panels/patch_heatmap/export";
import { cellOf, placeOf } from "../../js/panels/patch_heatmap/places";
import { decodeResult } from "../../js/panels/patch_heatmap/result";
import { eventually } from "./eventually";
import {
  arrayJson,
  CELLS,
  heatmapTraits,
  makePartial,
  makeResult,
  makeSkeleton,
  maybe,
  modelWithKernel,
  mountWidget,
  part,
  press,
  settled,
} from "./helpers";
import { cellText, clickCell, show } from "./shown_heatmap";

test("every cell is said in words, in reading order", async () => {
  const { el } = await show();
  expect(cellText(el, 5)).toBe("layer 0, position 5 ' is', recovers 0.50");
  expect(cellText(el, 6)).toBe("layer 1, position 0 '<bos>', clean and corrupt are equal");
  expect(el.querySelectorAll('[role="gridcell"]')).toHaveLength(CELLS);
});

test("a click pins: layer 0 and position 0 too", async () => {
  const { el, model } = await show();
  const saved = vi.spyOn(model, "save_changes");
  clickCell(el, 0);
  expect(model.get("selection")).toEqual({ activation: "resid_pre", layer: 0, position: 0, side: "corrupt" });
  expect(saved).toHaveBeenCalledOnce();
  await settled();
  expect(part(el, "pin").dataset.cell).toBe("0");
});

test("a click on the pinned cell takes the pin away", async () => {
  const { el, model } = await show({ selection: { layer: 0, position: 0 } });
  clickCell(el, 0);
  expect(model.get("selection")).toBeNull();
});

test("a selection set in Python moves the pin", async () => {
  const { el, model } = await show();
  model.set("selection", { layer: 2, position: 4 });
  await settled();
  expect(part(el, "pin").dataset.cell).toBe("16");
  expect(part(el, "detail-cell").textContent).toContain("layer 2");
});

test.each([
  { layer: 9, position: 0 },
  { layer: 0 },
  { layer: 1, head: 1 },
  { layer: 0, position: -7 },
  { layer: 0, position: 1.5 },
  { layer: 0, position: [4, 5] },
])("a selection that names no cell here is ignored: %o", async (selection) => {
  const { el } = await show({ selection });
  expect(maybe(el, "pin")).toBeNull();
});

test("the keyboard alone moves, pins and clears, and keeps its keys to itself", async () => {
  const { el, model } = await show({ selection: { layer: 0, position: 4 } });
  const grid = part(el, "grid");
  const event = press(grid, "ArrowUp");
  expect(event.defaultPrevented).toBe(true);
  await settled();
  expect(grid.getAttribute("aria-activedescendant")).toBe(el.querySelector('[role][data-cell="10"]')?.id);
  press(grid, "Enter");
  expect(model.get("selection")).toEqual({ activation: "resid_pre", layer: 1, position: 4, side: "corrupt" });
  await settled();
  press(grid, "End");
  await settled();
  press(grid, " ");
  expect(model.get("selection")).toEqual({ activation: "resid_pre", layer: 1, position: 5, side: "corrupt" });
  await settled();
  press(grid, "Escape");
  expect(model.get("selection")).toBeNull();
});

test("keys that mean nothing here are left to the host", async () => {
  const { el } = await show();
  expect(press(part(el, "grid"), "a").defaultPrevented).toBe(false);
  expect(press(part(el, "grid"), "ArrowUp", { ctrlKey: true }).defaultPrevented).toBe(false);
});

test("cells of the running sweep appear as they come", async () => {
  const { el, model } = await show({ status: "running", result: makeSkeleton("sweep-2") });
  expect(cellText(el, 17)).toContain("not computed yet");
  model.receive({
    kind: "event",
    id: "sweep-2",
    event: "partial",
    ...makePartial([0, 17], [0.25, -0.75]),
  });
  await settled();
  expect(cellText(el, 0)).toContain("recovers 0.25");
  expect(cellText(el, 17)).toContain("recovers \u22120.75");
  expect(cellText(el, 1)).toContain("not computed yet");
});

test("cells of another sweep are left out", async () => {
  const { el, model } = await show({ status: "running", result: makeSkeleton("sweep-2") });
  model.receive({ kind: "event", id: "sweep-1", event: "partial", ...makePartial([17], [0.5]) });
  await settled();
  expect(cellText(el, 17)).toContain("not computed yet");
});

test("two views of one model show the same live cells, and a late view has those that came before", async () => {
  const kernel = modelWithKernel(heatmapTraits({ status: "running", result: makeSkeleton("sweep-2") }));
  const widget = patchHeatmap();
  const dispose = widget.initialize({ model: kernel.model });
  const els = [0, 1, 2].map(() => document.createElement("div"));
  const first = els.slice(0, 2).map((el) => widget.render({ model: kernel.model, el }));
  await settled();
  kernel.model.receive({
    kind: "event",
    id: "sweep-2",
    event: "partial",
    ...makePartial([3], [0.5]),
  });
  await settled();
  const late = widget.render({ model: kernel.model, el: els[2] as HTMLElement });
  for (const el of els) expect(cellText(el, 3)).toContain("recovers 0.50");
  for (const unmount of [...first, late, dispose]) unmount();
});

test("tokens of a patched cell are text", async () => {
  const result = makeSkeleton("sweep-2");
  const { el, model } = await show({ status: "running", result, selection: { layer: 0, position: 3 } });
  model.receive({ kind: "event", id: "sweep-2", event: "partial", ...makePartial([3], [0.5]) });
  await settled();
  expect(part(el, "top-patched").textContent).toContain("<script>");
  expect(el.querySelector("script")).toBeNull();
});

test("choosing from a menu asks for a new sweep, also while one runs", async () => {
  const { el, sent } = await show({ status: "running" });
  const menu = part<HTMLSelectElement>(el, "activation");
  menu.value = "1";
  menu.dispatchEvent(new Event("change", { bubbles: true }));
  expect(sent[0]?.method).toBe("activation_patching");
  expect(sent[0]?.params).toEqual({
    activation: "z",
    axes: ["layer", "head"],
    metric: "logit_diff",
    direction: "denoise",
    value: { kind: "other" },
    window: 1,
    at: null,
  });
});

test("a menu shows what was asked for until Python answers, and goes back when Python refuses", async () => {
  const { el, answer } = await show();
  const menu = part<HTMLSelectElement>(el, "direction");
  menu.value = "1";
  menu.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
  expect(part<HTMLSelectElement>(el, "direction").value).toBe("1");
  answer("error");
  await settled();
  expect(part<HTMLSelectElement>(el, "direction").value).toBe("0");
});

test("an entry that does not apply cannot be chosen and says why", async () => {
  const { el } = await show();
  const option = part<HTMLSelectElement>(el, "activation").options[2];
  expect(option?.disabled).toBe(true);
  expect(option?.title).toBe("no such hook");
});

test("while it runs there is a Cancel, after it was cancelled a Run", async () => {
  const { el, model, sent } = await show({
    status: "running",
    progress: { done: 10, total: 12, seconds_left: 0.2 },
  });
  expect(part(el, "progress-text").textContent).toBe("10 of 12 \u00b7 0.2 s left");
  expect(part(el, "progress").getAttribute("aria-valuenow")).toBe("10");
  part(el, "cancel").click();
  expect(sent.at(-1)?.method).toBe("cancel");
  model.set("status", "cancelled");
  await settled();
  expect(maybe(el, "cancel")).toBeNull();
  expect(part(el, "summary").textContent).toBe("cancelled at 10 of 12");
  model.set("progress", { done: 0, total: 0, seconds_left: null });
  await settled();
  expect(part(el, "summary").textContent).toBe("cancelled before it began");
  part(el, "run").click();
  expect(sent.at(-1)?.method).toBe("activation_patching");
});

test("before the first result it says what it is doing, or only what went wrong", async () => {
  const { el, model } = await show({ result: null, status: "running" });
  expect(part(el, "nothing").textContent).toBe("Preparing the two runs\u2026");
  model.set("status", "error");
  model.set("error", { field: null, message: "The prompts differ in length." });
  await settled();
  expect(maybe(el, "nothing")).toBeNull();
  expect(part(el, "error").textContent).toBe("The prompts differ in length.");
});

test("after an error the last map is faded and named, since it belongs to other prompts", async () => {
  const { model, el } = await show();
  expect(part(el, "sweep").dataset.stale).toBe("false");
  model.set("error", { field: null, message: "The corrupt prompt is empty.", traceback: null, remedy: null });
  model.set("status", "error");
  await settled();
  expect(part(el, "sweep").dataset.stale).toBe("true");
  await eventually(() =>
    expect(part(el, "faded").textContent).toBe(
      "Faded: the last map, resid_pre of \u201cThe capital of Norway is\u201d.",
    ),
  );
  model.set("status", "running");
  await settled();
  expect(part(el, "sweep").dataset.stale).toBe("false");
});

test("of several right answers each is marked, and where none are listed the one", async () => {
  const marked = async (change: object) => {
    const result = makeResult();
    Object.assign(result.prompts.clean, change);
    Object.assign(result.prompts.corrupt, { answer: null, answers: [] });
    const { el, cleanup } = await show({ result });
    const tones = [...part(el, "top-clean").querySelectorAll("i")].map((bar) => bar.className);
    cleanup();
    return tones;
  };
  const both = ["hs-fill-clean", "hs-fill-clean"];
  expect(await marked({ answer: " Oslo", answers: [" Oslo", " Stockholm"] })).toEqual(both);
  expect(await marked({ answer: " Oslo", answers: [] })).toEqual(["hs-fill-clean", ""]);
  expect(await marked({ answer: " Oslo" })).toEqual(["hs-fill-clean", ""]);
});

test("a result that can't be drawn is said so, and a good one after it can be drawn", async () => {
  const { model, el } = await show();
  const labels = { layer: null, position: null } as unknown as Record<string, string[]>;
  model.set("result", { ...makeResult(), labels, prompts: {} as never });
  await settled();
  expect(part(el, "failed").textContent).toContain("can't be drawn");
  model.set("result", makeResult({ id: "sweep-2" }));
  part(el, "failed").querySelector("button")?.click();
  await settled();
  expect(maybe(el, "failed")).toBeNull();
  expect(part(el, "grid")).not.toBeNull();
});

test("a position that counts from the end pins the cell that it names", async () => {
  const { el } = await show({ selection: { layer: 2, position: -1 } });
  expect(part(el, "pin").dataset.cell).toBe("17");
});

test("a run with hooks says why it was slower", async () => {
  const provenance = {
    ...makeResult().provenance,
    executor: "hooks" as const,
    executor_reason: "the cache is empty",
  };
  const { el, model } = await show({ result: makeResult({ provenance }) });
  expect(part(el, "executor").textContent).toBe("Run with hooks, which is slower: the cache is empty.");
  model.set("result", makeResult({ provenance: { ...provenance, executor: "packed" } }));
  await settled();
  expect(maybe(el, "executor")).toBeNull();
});

test("a result of an unknown format is refused with a sentence", async () => {
  const { el } = await show({ result: makeResult({ schema_version: 2 }) });
  expect(part(el, "error").textContent).toContain("format 2");
  expect(maybe(el, "grid")).toBeNull();
});

test("baselines that score the same: raw values and a sentence, no scale", async () => {
  const normalized = arrayJson("float32", [3, 6], Array(CELLS).fill(Number.NaN));
  const { el } = await show({ result: makeResult({ normalized }) });
  expect(part(el, "raw").textContent).toContain("score the same");
  expect(maybe(el, "legend")).toBeNull();
  expect(cellText(el, 17)).toBe("layer 2, position 5 ' is', 12.00");
});

test("the scale reaches the largest effect, at most 2, and says when it is cut", () => {
  const upTo = (largest: number) => {
    const values = Array.from({ length: CELLS }, (_, i) => (i === 0 ? -largest : Number.NaN));
    return decodeResult(makeResult({ normalized: arrayJson("float32", [3, 6], values) }));
  };
  expect(cells.domainOf(upTo(0.3))).toEqual({ domain: 1, clipped: false });
  expect(cells.domainOf(upTo(1.5))).toEqual({ domain: 1.5, clipped: false });
  expect(cells.domainOf(upTo(7))).toEqual({ domain: 2, clipped: true });
  expect(cells.legendTicks(upTo(7), { raw: false, limit: null }).map((tick) => tick.text)).toContain(
    "\u2265 2",
  );
});

test("rows over layers and heads are named layer.head, and cells come back as their indices", () => {
  const shape = [2, 3, 6];
  const flat = Array.from({ length: 36 }, (_, i) => i / 100);
  const sweep = decodeResult(
    makeResult({
      axes: ["layer", "head", "position"],
      labels: { layer: ["0", "1"], head: ["0", "1", "2"], position: ["a", "b", "c", "d", "e", "f"] },
      values: arrayJson("float32", shape, flat),
      normalized: arrayJson("float32", shape, flat),
      state: arrayJson("uint8", shape, Array(36).fill(1)),
    }),
  );
  expect(flatBoard(sweep).rows.map((row) => row.lines[0]?.text)).toEqual([
    "0.0",
    "0.1",
    "0.2",
    "1.0",
    "1.1",
    "1.2",
  ]);
  for (let index = 0; index < 36; index++) {
    expect(cellOf(sweep, placeOf(sweep, index))).toBe(index);
  }
});

test("the copied table has headers, rows as shown, and no formulas", () => {
  const result = makeResult();
  result.prompts.clean.tokens = ["=1+1", "\t", " capital", " of", " Norway", " is"];
  result.prompts.corrupt.tokens = ["=1+1", "\t", " capital", " of", " Sweden", " is"];
  const lines = toTable(decodeResult(result), false, true).split("\n");
  expect(lines[0]).toBe(
    "layer\t'=1+1\t\u21e5\t\u2423capital\t\u2423of\t\u2423Norway / \u2423Sweden\t\u2423is",
  );
  expect(lines[1]).toBe("2\t0\t0\t0\t0\t1.6\t1.7");
  expect(lines[3]).toBe("0\t0\t0\t0\t0\t0.4\t0.5");
});

test("a table of raw values has those of equal cells too", () => {
  const lines = toTable(decodeResult(makeResult()), true, true).split("\n");
  expect(lines[3]).toBe("0\t-5\t-4\t-3\t-2\t-1\t0");
});

test("everything that listened to the model is gone after cleanup", async () => {
  const kernel = modelWithKernel(heatmapTraits());
  const on = vi.spyOn(kernel.model, "on");
  const off = vi.spyOn(kernel.model, "off");
  const mounted = mountWidget(patchHeatmap, kernel.model, 2);
  await settled();
  mounted.cleanup();
  await settled();
  expect(on.mock.calls.length).toBeGreaterThan(0);
  const count = (calls: unknown[][]) => calls.map(([event]) => String(event)).sort();
  expect(count(off.mock.calls)).toEqual(count(on.mock.calls));
});
