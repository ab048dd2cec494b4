// A view asks Python for a picture once nothing has changed for a while, and hides the picture while it is on the page.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import patchHeatmap from "../../js/panels/patch_heatmap";
import { MemoryModel } from "../../js/report/memory_model";
import { heatmapTraits, mountWidget } from "./helpers";

const NAME = "hookscope-picture-1";
let sent: { method?: string }[] = [];
const asked = () => sent.filter(({ method }) => method === "picture").length;
const modelOf = (traits: object, connected = true) =>
  new MemoryModel(
    { ...heatmapTraits(), _picture: NAME, ...traits },
    connected ? (message) => void sent.push(message as { method?: string }) : undefined,
  );

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => {
  vi.useRealTimers();
  sent = [];
});

test("a picture is asked for once nothing has changed for two seconds", () => {
  const model = modelOf({ status: "done" });
  const { cleanup } = mountWidget(patchHeatmap, model);
  vi.advanceTimersByTime(1500);
  model.set("selection", null);
  model.set("color_limit", 2);
  vi.advanceTimersByTime(1500);
  expect(asked()).toBe(0);
  vi.advanceTimersByTime(1000);
  expect(asked()).toBe(1);
  vi.advanceTimersByTime(10_000);
  expect(asked()).toBe(1);
  cleanup();
});

test("nothing is asked for while work runs, nor once the view is gone", () => {
  const model = modelOf({ status: "running" });
  const { cleanup } = mountWidget(patchHeatmap, model);
  vi.advanceTimersByTime(10_000);
  model.set("status", "done");
  cleanup();
  vi.advanceTimersByTime(10_000);
  expect(asked()).toBe(0);
});

test("nothing is asked for by a widget without a picture, or without a kernel", () => {
  const views = [
    mountWidget(patchHeatmap, modelOf({ status: "done", _picture: undefined })),
    mountWidget(patchHeatmap, modelOf({ status: "done" }, false)),
  ];
  vi.advanceTimersByTime(10_000);
  expect(asked()).toBe(0);
  for (const { cleanup } of views) cleanup();
});

test("the picture is hidden as long as the view is on the page", () => {
  const picture = document.createElement("p");
  picture.className = NAME;
  document.body.append(picture);
  const { cleanup } = mountWidget(patchHeatmap, modelOf({ status: "done" }));
  const rules = document.querySelector("style")?.textContent ?? "";
  expect(rules).toContain(`.${NAME}, .jp-OutputArea-child:has(.${NAME}) { display: none; }`);
  cleanup();
  expect(document.querySelector("style")).toBeNull();
  picture.remove();
});
