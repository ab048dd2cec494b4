// Python hears which views are on a page, so that it computes for no others.
import { afterEach, expect, test, vi } from "vitest";
import { Rpc } from "../../js/lib/rpc";
import patchHeatmap from "../../js/panels/patch_heatmap";
import { MemoryModel } from "../../js/report/memory_model";
import { heatmapTraits, modelWithKernel, mountWidget, settled } from "./helpers";

afterEach(() => void vi.useRealTimers());

test("each view says that it is shown, and that it is hidden when it is taken away", async () => {
  const { model, present } = modelWithKernel(heatmapTraits());
  const { cleanup } = mountWidget(patchHeatmap, model, 2);
  await settled();
  expect(present.map(({ kind, method }) => [kind, method])).toEqual([
    ["request", "shown"],
    ["request", "shown"],
  ]);
  const views = present.map(({ params }) => params.view);
  expect(new Set(views).size).toBe(2);
  cleanup();
  expect(present.slice(2).map(({ method, params }) => [method, params.view])).toEqual(
    views.map((view) => ["hidden", view]),
  );
  expect(new Set(present.map(({ id }) => id)).size).toBe(4);
});

test("nobody waits for an answer to that", () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { model, present } = modelWithKernel(heatmapTraits());
  const rpc = new Rpc(model);
  const { cleanup } = mountWidget(patchHeatmap, model);
  vi.advanceTimersByTime(20_000);
  expect(rpc.waiting.get()).toBe("no");
  model.receive({ kind: "event", id: present[0]?.id, event: "accepted" });
  cleanup();
});

test("a view without a kernel says nothing, and one whose kernel is gone can still be taken away", async () => {
  const send = vi.spyOn(MemoryModel.prototype, "send");
  mountWidget(patchHeatmap, new MemoryModel(heatmapTraits())).cleanup();
  expect(send).not.toHaveBeenCalled();
  const closed = new MemoryModel(heatmapTraits(), () => {
    throw new Error("the comm is closed");
  });
  const { el, cleanup } = mountWidget(patchHeatmap, closed);
  await settled();
  expect(el.querySelector(".hs-root")).not.toBeNull();
  cleanup();
  expect(el.childNodes).toHaveLength(0);
});
