// What a view shows is faded and named while it is not what was asked for last.
import { expect, test } from "vitest";
import attentionViewer from "../../js/panels/attention_viewer";
import logitLensGrid from "../../js/panels/logit_lens_grid";
import patchHeatmap from "../../js/panels/patch_heatmap";
import { viewerTraits } from "./attention_viewer/viewers";
import { eventually } from "./eventually";
import {
  heatmapTraits,
  makePartial,
  makeResult,
  makeSkeleton,
  maybe,
  modelWithKernel,
  mountWidget,
  part,
  settled,
} from "./helpers";
import { lensTraits, makeAttribution, makeLens, pairTraits } from "./lenses";
import { choose, show } from "./shown_heatmap";

const ask = (id: string) => ({ id, method: "activation_patching", params: {} });
const faded = (el: HTMLElement) => part(el, "sweep").dataset.stale === "true";
const named = (el: HTMLElement) =>
  eventually(() => expect(part(el, "faded").textContent).toContain("Faded: the last map, resid_pre of "));

test("from the click on, while the kernel is busy, after a restart for ever", async () => {
  const { el, answer } = await show({ asked: ask("sweep-1") });
  expect(faded(el)).toBe(false);
  choose(el, "activation", 1);
  await settled();
  expect(faded(el)).toBe(true);
  await named(el);
  answer("accepted");
  await settled();
  expect(faded(el)).toBe(true);
});

test("until the result of that request is there, also while its cells still come", async () => {
  const { el, model, sent, answer } = await show({ asked: ask("sweep-1") });
  choose(el, "direction", 1);
  const id = sent.at(-1)?.id ?? "";
  answer("accepted");
  model.set("asked", ask(id));
  model.set("status", "running");
  await settled();
  expect(faded(el)).toBe(true);
  model.set("result", makeSkeleton(id));
  answer("partial", sent.at(-1), makePartial([17], [0.5]));
  await settled();
  expect(faded(el)).toBe(false);
  model.set("status", "done");
  answer("result");
  await settled();
  expect(faded(el)).toBe(false);
  expect(maybe(el, "faded")).toBeNull();
});

test("what Python asked for by itself fades the last map too", async () => {
  const { el, model } = await show({ asked: ask("sweep-1") });
  model.set("asked", ask("py-2"));
  await settled();
  expect(faded(el)).toBe(true);
  model.set("result", makeResult({ id: "py-2" }));
  await settled();
  expect(faded(el)).toBe(false);
});

test("a sweep that was cancelled before its first step leaves the last map faded, a later one keeps its own", async () => {
  const { el, model, sent, answer } = await show({ asked: ask("sweep-1") });
  choose(el, "activation", 1);
  const id = sent.at(-1)?.id ?? "";
  model.set("asked", ask(id));
  model.set("status", "cancelled");
  answer("cancelled");
  await settled();
  expect(faded(el)).toBe(true);
  await named(el);
  model.set("result", makeSkeleton(id));
  await settled();
  expect(faded(el)).toBe(false);
});

test("a result that was kept is current again at once", async () => {
  const { el, model, answer } = await show({ asked: ask("sweep-2"), result: makeResult({ id: "sweep-2" }) });
  choose(el, "activation", 0);
  model.set("asked", ask("sweep-1"));
  model.set("result", makeResult({ id: "sweep-1" }));
  answer("result");
  await settled();
  expect(faded(el)).toBe(false);
});

test("without a model nothing is asked for, and what is shown is current", async () => {
  const { el } = await show({ asked: null });
  expect(faded(el)).toBe(false);
});

test("another request of the same view fades nothing", async () => {
  const { el } = await show({ asked: ask("sweep-1"), status: "running" });
  part(el, "cancel").click();
  await settled();
  expect(faded(el)).toBe(false);
});

const VIEWS = [
  ["lens", logitLensGrid, lensTraits, makeLens().id, "logit_lens", "stream", "4", "lens-result"],
  [
    "attention",
    attentionViewer,
    viewerTraits,
    "attention-1",
    "attention_patterns",
    "kind",
    "1",
    "attention-result",
  ],
  ["heatmap", patchHeatmap, heatmapTraits, makeResult().id, "activation_patching", "direction", "1", "sweep"],
] as const;

test.each(VIEWS)("the %s is faded from the menu's change until the answer", async (...view) => {
  const [, create, traits, id, method, menu, value, shown] = view;
  const kernel = modelWithKernel(traits({ asked: { id, method, params: {} } }));
  const { el, cleanup } = mountWidget(create, kernel.model);
  await settled();
  const stale = () => part(el, shown).dataset.stale;
  expect(stale()).toBe("false");
  const select = part<HTMLSelectElement>(el, menu);
  select.value = value;
  select.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
  expect(stale()).toBe("true");
  const request = kernel.sent.find((one) => one.method === method);
  kernel.model.set("asked", { id: request?.id, method, params: {} });
  kernel.model.set("result", { ...(kernel.model.get("result") as object), id: request?.id });
  kernel.answer("result", request);
  await settled();
  expect(stale()).toBe("false");
  cleanup();
});

test("an attribution is faded while another one is asked for", async () => {
  const traits = pairTraits({ tab: "attribution", attribution: makeAttribution() });
  const { model, sent, answer } = modelWithKernel(traits);
  const { el, cleanup } = mountWidget(logitLensGrid, model);
  await settled();
  part(el, "attribute").click();
  await settled();
  expect(part(el, "attribution").dataset.stale).toBe("true");
  model.set("attribution", makeAttribution({ id: sent.at(-1)?.id ?? "" }));
  answer("result");
  await settled();
  expect(part(el, "attribution").dataset.stale).toBe("false");
  cleanup();
});
