// Linked views share their pinned place, with and without a kernel, whichever bundles they come from.
import { afterEach, expect, test } from "vitest";
import { select } from "../../js/lib/model";
import type { Place } from "../../js/lib/place";
import type { Widget } from "../../js/lib/widget";
import logitLensGrid from "../../js/panels/logit_lens_grid";
import patchHeatmap from "../../js/panels/patch_heatmap";
import { MemoryModel } from "../../js/report/memory_model";
import { heatmapTraits } from "./helpers";
import { pairTraits } from "./lenses";

const PLACE: Place = { layer: 1, position: 4, side: "clean" };
const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

function initialized(
  create: () => Widget,
  traits: Record<string, unknown>,
  kernel?: (message: unknown) => void,
) {
  const model = new MemoryModel(traits, kernel);
  stops.push(create().initialize({ model }));
  return model;
}

const heatmapIn = (group: string | null, change = {}) =>
  initialized(patchHeatmap, heatmapTraits({ group, ...change }));
const lensIn = (group: string | null) => initialized(logitLensGrid, pairTraits({ group }));

test("a place pinned in one view is pinned in those of its group", () => {
  const [heatmap, lens, other, alone] = [heatmapIn("a"), lensIn("a"), heatmapIn("b"), heatmapIn(null)];
  select(heatmap, PLACE);
  expect(lens.get("selection")).toEqual(PLACE);
  select(lens, null);
  expect(heatmap.get("selection")).toBeNull();
  expect([other, alone].map((model) => model.get("selection") ?? null)).toEqual([null, null]);
});

test("a view that has no such place pins none, and does not hand that back", () => {
  const [heatmap, lens] = [heatmapIn("a"), lensIn("a")];
  select(lens, { layer: 30, position: 4 });
  expect(lens.get("selection")).toEqual({ layer: 30, position: 4 });
  expect(heatmap.get("selection") ?? null).toBeNull();
});

test("the same place again changes nothing, or a kernel's answer would go round for ever", () => {
  const [heatmap, lens] = [heatmapIn("a"), lensIn("a")];
  select(heatmap, PLACE);
  let changes = 0;
  lens.on("change:selection", () => changes++);
  select(heatmap, { ...PLACE });
  expect(changes).toBe(0);
});

test("what the kernel pins or unpins in one view is for Python to hand on", () => {
  const [heatmap, lens] = [heatmapIn("a"), lensIn("a")];
  select(heatmap, PLACE);
  lens.set("selection", null); // its new result has no such place
  expect(heatmap.get("selection")).toEqual(PLACE);
});

test("a group can be joined and left later, and a view that is gone is not told", () => {
  const [heatmap, lens] = [heatmapIn(null), lensIn("a")];
  heatmap.set("group", "a");
  select(heatmap, PLACE);
  expect(lens.get("selection")).toEqual(PLACE);
  lens.set("group", null);
  select(heatmap, null);
  expect(lens.get("selection")).toEqual(PLACE);
  lens.set("group", "a");
  for (const stop of stops.splice(0)) stop();
  select(heatmap, { layer: 0, position: 1 });
  expect(lens.get("selection")).toEqual(PLACE);
});
