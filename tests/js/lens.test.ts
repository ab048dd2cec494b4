import { expect, test, vi } from "vitest";
import logitLensGrid from "../../js/panels/logit_lens_grid";
import { eventually } from "./eventually";
import { arrayJson, maybe, modelWithKernel, mountWidget, part, press, settled } from "./helpers";
import { LABELS, lensTraits, makeLens, OSLO, placeAt, STOCKHOLM, TOKENS } from "./lenses";
import { choose } from "./shown_heatmap";
import { cellWords, enter, hoverAt, lensWithoutKernel, pinAt, showLens } from "./shown_lens";

const followed = (change = {}) => lensTraits({ result: makeLens({ targets: [OSLO, STOCKHOLM] }), ...change });

test("every cell is said in words, in reading order", async () => {
  const { el } = await showLens();
  expect(cellWords(el, 0)).toBe("emb, position 0 '<bos>', ' the' 0.00");
  expect(cellWords(el, 6 * 2 + 5)).toBe("layer 1, position 5 ' is', ' of' 0.25");
  expect(el.querySelectorAll('[role="gridcell"]')).toHaveLength(24);
});

test("what is not coloured by probability says its measure, with its unit", async () => {
  const { el, model } = await showLens(followed({ color: "entropy" }));
  expect(cellWords(el, 8)).toBe("layer 0, position 2 ' capital', ' is' 0.12, entropy 2.50 nats");
  expect(part(el, "subtitle").textContent).toContain("entropy in nats, strong where the lens is sure");
  model.set("color", "kl");
  await settled();
  expect(cellWords(el, 8)).toContain("KL 2.00 nats");
  model.set("color", "rank");
  await settled();
  expect(cellWords(el, 8)).toContain("rank 99");
  expect(part(el, "legend").textContent).toContain("0 likeliest");
});

test("hovering reads a cell in a fixed place; without a pointer it is what the model says last", async () => {
  const { el } = await showLens(followed());
  expect(part(el, "detail-cell").textContent).toContain("layer 2 out, \u2423is");
  await hoverAt(el, 1, 2);
  expect(part(el, "detail-cell").textContent).toContain("layer 0, \u2423capital");
  expect(part(el, "detail-cell").textContent).toContain("entropy 2.50 nats");
  expect(part(el, "detail-cell").textContent).toContain("\u2423Oslo 0.17, rank 99");
  const rows = [...part(el, "top-prompt").querySelectorAll("tr")].map((row) => row.textContent);
  expect(rows).toEqual(["\u2423is0.1211.00", "\u2423capital0.0610.00", "<script>0.049.00"]);
  expect(el.querySelector("script")).toBeNull();
});

test("a click pins and a second one takes the pin away", async () => {
  const { el, model } = await showLens();
  const saved = vi.spyOn(model, "save_changes");
  await pinAt(el, 0, 0);
  expect(model.get("selection")).toEqual(placeAt(0, 0));
  expect(saved).toHaveBeenCalledOnce();
  expect(part(el, "pin").dataset.cell).toBe("0");
  await pinAt(el, 0, 0);
  expect(model.get("selection")).toBeNull();
});

test("the keyboard alone moves, pins and unpins, and keeps its keys to itself", async () => {
  const { el, model } = await showLens(lensTraits({ selection: placeAt(1, 4) }));
  const grid = part(el, "cells");
  expect(press(grid, "ArrowUp").defaultPrevented).toBe(true);
  await settled();
  expect(grid.getAttribute("aria-activedescendant")).toBe(el.querySelector('[role][data-cell="16"]')?.id);
  press(grid, "Enter");
  expect(model.get("selection")).toEqual(placeAt(2, 4));
  await settled();
  press(grid, "Home");
  await settled();
  press(grid, " ");
  expect(model.get("selection")).toEqual(placeAt(2, 0));
  await settled();
  press(grid, "Escape");
  expect(model.get("selection")).toBeNull();
  expect(press(grid, "a").defaultPrevented).toBe(false);
});

test.each([
  { layer: 3, position: 0 },
  { layer: 0 },
  { layer: 0, position: 6 },
  { layer: 0, position: [0, 1] },
  { position: 0 },
  { layer: -1, position: 0 },
])("a selection that names no cell here is ignored: %o", async (selection) => {
  const { el } = await showLens(lensTraits({ selection }));
  expect(maybe(el, "pin")).toBeNull();
  expect(maybe(el, "lines")).toBeNull();
});

test("layer 0 can be at the top", async () => {
  const { el, model } = await showLens(lensTraits({ layer_zero: "top" }));
  part(el, "cells").dispatchEvent(new MouseEvent("click", { clientX: 3, clientY: 3, bubbles: true }));
  expect(model.get("selection")).toEqual(placeAt(0, 0));
});

test("the pinned cell's top tokens and the followed ones are asked for, and drawn from what is known meanwhile", async () => {
  const { el, sent, answer } = await showLens(followed());
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  await pinAtNow(el);
  vi.advanceTimersByTime(200);
  vi.useRealTimers();
  expect(sent.at(-1)?.method).toBe("trajectory");
  // The cell's top three are 3, 4 and 5.
  expect(sent.at(-1)?.params).toEqual({
    result: "lens-1",
    side: "prompt",
    position: 2,
    ids: [3, 4, 5, 7, 8],
  });
  await settled();
  expect(el.querySelectorAll('[data-hs="line"]')).toHaveLength(5);
  const said = () => [...part(el, "lines").querySelectorAll("tbody tr")].map((row) => row.textContent);
  expect(said()[3]).toBe("\u2423Oslo prompt0.080.170.250.33");
  answer("trajectory", sent.at(-1), { side: "prompt", position: 2, ids: [3, 4, 5, 7, 8], ...trajectory(5) });
  await settled();
  expect(said()[0]).toBe("\u2423is prompt0.000.100.200.30");
  expect(said()[4]).toBe("\u2423Stockholm prompt0.040.140.240.34");
});

async function pinAtNow(el: HTMLElement) {
  const { pointAt } = await import("./shown_lens");
  part(el, "cells").dispatchEvent(new MouseEvent("click", pointAt(el, 1, 2)));
  for (let i = 0; i < 4; i++) await new Promise((resolve) => requestAnimationFrame(resolve));
}

function trajectory(ids: number) {
  const cells = Array.from(
    { length: LABELS.length * ids },
    (_, i) => Math.floor(i / ids) / 10 + (i % ids) / 100,
  );
  const array = arrayJson("float32", [LABELS.length, ids], cells);
  const ranks = arrayJson("int32", [LABELS.length, ids], cells.map(Math.round));
  return { logits: array, probs: array, ranks };
}

test("the lines can show logits and ranks", async () => {
  const { el } = await showLens(followed({ selection: placeAt(1, 2) }));
  const said = () => part(el, "lines").querySelectorAll("tbody tr")[3]?.textContent;
  choose(el, "quantity", 2);
  await settled();
  expect(said()).toBe("\u2423Oslo prompt9999990");
  choose(el, "quantity", 1);
  await settled();
  expect(said()).toBe("\u2423Oslo prompt0.01.02.03.0");
});

test("a token is followed by typing it, or by a click in the list", async () => {
  const { el, sent } = await showLens(followed({ selection: placeAt(1, 2) }));
  enter(part(el, "input-follow"), " Bergen");
  await settled();
  press(part(el, "input-follow"), "Enter");
  const params = { stream: "resid_post", lens: "logit", top_k: 3, last: null };
  expect(sent.filter(({ method }) => method === "logit_lens").at(-1)?.params).toEqual({
    ...params,
    targets: [" Oslo", " Stockholm", " Bergen"],
  });
  part(el, "top-prompt").querySelector("button")?.click();
  expect(sent.filter(({ method }) => method === "logit_lens").at(-1)?.params.targets).toEqual([
    " Oslo",
    " Stockholm",
    " Bergen",
    " is",
  ]);
});

test("a followed token can be given up, and chosen to colour by", async () => {
  const { el, sent } = await showLens(followed({ color: "target" }));
  expect(cellWords(el, 8)).toContain("target 0.17");
  el.querySelectorAll<HTMLButtonElement>("[aria-pressed]")[1]?.click();
  await settled();
  expect(cellWords(el, 8)).toContain("target 0.08");
  part(el, "unfollow").click();
  expect(sent.at(-1)?.params.targets).toEqual([" Stockholm"]);
});

test("a followed token that is chosen to colour by before its numbers are there colours once they are", async () => {
  const { el, model } = await showLens(followed({ color: "target" }));
  enter(part(el, "input-follow"), " Bergen");
  await settled();
  press(part(el, "input-follow"), "Enter");
  await settled();
  const chips = () => [...el.querySelectorAll<HTMLButtonElement>("[aria-pressed]")];
  chips()[2]?.click();
  model.set("result", makeLens({ targets: [STOCKHOLM, OSLO, { id: 9, text: " Bergen" }] }));
  await settled();
  expect(chips().map((chip) => chip.getAttribute("aria-pressed"))).toEqual(["false", "false", "true"]);
});

test("without a followed token, rank and target are not offered, and a grid that should show them says so", async () => {
  const { el } = await showLens(lensTraits({ color: "rank" }));
  const options = [...part<HTMLSelectElement>(el, "color").options];
  expect(options.map(({ disabled }) => disabled)).toEqual([false, false, true, false, true]);
  expect(part(el, "note").textContent).toContain("Follow a token");
  expect(maybe(el, "legend")).toBeNull();
});

test("another stream is asked for; the menu shows it until Python answers, and goes back when Python refuses", async () => {
  const { el, sent, answer } = await showLens();
  expect(maybe(el, "lens")).toBeNull();
  choose(el, "stream", 4);
  expect(sent.at(-1)?.params).toEqual({
    stream: "mlp_out",
    lens: "logit",
    targets: [],
    top_k: 3,
    last: null,
  });
  await settled();
  expect(part<HTMLSelectElement>(el, "stream").value).toBe("4");
  answer("error");
  await settled();
  expect(part<HTMLSelectElement>(el, "stream").value).toBe("2");
});

test("a tuned lens is offered where there is one, and named in the title", async () => {
  const info = structuredClone(lensTraits().info) as { lenses: { reason: string | null }[] };
  for (const lens of info.lenses) lens.reason = null;
  const result = makeLens();
  result.params.lens = "tuned";
  const { el, sent } = await showLens(lensTraits({ info, result, lens: "tuned" }));
  expect(el.querySelector("h2")?.textContent).toContain("Tuned lens");
  choose(el, "lens", 0);
  expect(sent.at(-1)?.params.lens).toBe("logit");
});

test("colour is set by the view itself", async () => {
  const { el, model, sent } = await showLens();
  choose(el, "color", 3);
  expect(model.get("color")).toBe("kl");
  expect(sent).toEqual([]);
});

test("another prompt is shown when Enter is pressed", async () => {
  const { el, sent } = await showLens();
  enter(part(el, "input-prompt"), "The capital of Peru is");
  await settled();
  press(part(el, "input-prompt"), "Enter");
  expect(sent.at(-1)).toMatchObject({ method: "show", params: { text: "The capital of Peru is" } });
});

test("while it runs there is a Cancel, and after an error the last result is faded and named", async () => {
  const { el, model, sent } = await showLens(
    lensTraits({ status: "running", progress: { done: 1, total: 4, seconds_left: 2 } }),
  );
  part(el, "cancel").click();
  expect(sent.at(-1)?.method).toBe("cancel");
  model.set("error", { field: "targets", message: "' oslo' is 2 tokens." });
  model.set("status", "error");
  await settled();
  expect(part(el, "error").textContent).toBe("' oslo' is 2 tokens.");
  expect(part(el, "lens-result").dataset.stale).toBe("true");
  await eventually(() =>
    expect(part(el, "faded").textContent).toBe(
      "Faded: the last result, resid_post of \u201cThe capital of Norway is\u201d.",
    ),
  );
});

test("of a prompt over the context the last tokens are offered, and stay chosen until another prompt is shown", async () => {
  const { el, model, sent } = await showLens(lensTraits({ prompt: "long" }));
  expect(part<HTMLTextAreaElement>(el, "input-prompt").value).toBe("long");
  const message = "The prompt has 300 tokens, which is 173 too many.";
  model.set("error", { field: null, message, traceback: null, remedy: null });
  model.set("status", "error");
  await settled();
  expect(maybe(el, "remedy")).toBeNull();
  const remedy = { label: "Read the last 127 tokens", method: "logit_lens", params: { last: 127 } };
  model.set("error", { field: null, message, traceback: null, remedy });
  await settled();
  part(el, "remedy").click();
  expect(sent.at(-1)).toMatchObject({ method: "logit_lens", params: { last: 127 } });
  const result = makeLens();
  result.params.last = 127;
  model.set("result", result);
  model.set("error", null);
  await settled();
  expect(maybe(el, "remedy")).toBeNull();
  choose(el, "stream", 4);
  expect(sent.at(-1)?.params.last).toBe(127);
});

test("a space may be typed as it is shown", async () => {
  const { el, sent } = await showLens();
  enter(part(el, "input-follow"), "\u2423Bergen");
  await settled();
  press(part(el, "input-follow"), "Enter");
  expect(sent.at(-1)?.params.targets).toEqual([" Bergen"]);
});

test("before the first result it says what it is doing", async () => {
  const { el, model } = await showLens(lensTraits({ result: null, status: "running" }));
  expect(part(el, "nothing").textContent).toBe("Reading the layers\u2026");
  model.set("result", makeLens());
  await settled();
  expect(part(el, "cells").getAttribute("aria-colcount")).toBe("6");
});

test("a result of an unknown format is refused with a sentence", async () => {
  const { el } = await showLens(lensTraits({ result: makeLens({ schema_version: 2 }) }));
  expect(part(el, "error").textContent).toContain("format 2");
  expect(maybe(el, "cells")).toBeNull();
});

test("tokens are text: markup, controls, directions and lone marks can be seen", async () => {
  const tokens = { ...TOKENS, 0: "\u202e", 1: "\u0301", 2: "<b>x</b>", 3: "\u200b", 4: "\\xe2\\x96", 5: "" };
  const { el } = await showLens(lensTraits({ result: makeLens({ tokens }) }));
  await hoverAt(el, 0, 0);
  const texts = () => [...part(el, "top-prompt").querySelectorAll("bdi")].map((token) => token.textContent);
  expect(texts()).toEqual(["\u27e8RLO\u27e9", "\u25cc\u0301", "<b>x</b>"]);
  await hoverAt(el, 0, 3);
  expect(texts()).toEqual(["\u27e8ZWSP\u27e9", "\\xe2\\x96", "\u2205"]);
  expect(part(el, "top-prompt").querySelector("b")).toBeNull();
});

test("tabs are chosen with the arrow keys, and only one is in the tab order", async () => {
  const { el, model } = await showLens();
  expect(part(el, "tab-lens").getAttribute("aria-selected")).toBe("true");
  expect(part(el, "tab-attribution").tabIndex).toBe(-1);
  press(part(el, "tab-lens"), "ArrowRight");
  expect(model.get("tab")).toBe("attribution");
  await settled();
  expect(part(el, "tab-attribution").tabIndex).toBe(0);
  expect(el.querySelector('[role="tabpanel"]')?.getAttribute("aria-labelledby")).toBe(
    part(el, "tab-attribution").id,
  );
});

test("without a kernel nothing is offered that would need one, and pins still work", async () => {
  const { el, model } = await lensWithoutKernel(followed());
  expect(el.querySelector("textarea, input")).toBeNull();
  for (const name of ["stream", "run", "cancel", "unfollow"]) expect(maybe(el, name)).toBeNull();
  await pinAt(el, 1, 2);
  expect(model.get("selection")).toEqual(placeAt(1, 2));
  expect(el.querySelectorAll('[data-hs="line"]')).toHaveLength(5);
  expect(part(el, "top-prompt").querySelector("button")).toBeNull();
});

test("everything that listened to the model is gone after cleanup", async () => {
  const { model } = modelWithKernel(followed({ selection: placeAt(1, 2) }));
  const [on, off] = [vi.spyOn(model, "on"), vi.spyOn(model, "off")];
  const { cleanup } = mountWidget(logitLensGrid, model, 2);
  await settled();
  cleanup();
  await settled();
  const events = (calls: unknown[][]) => calls.map(([event]) => String(event)).sort();
  expect(events(off.mock.calls)).toEqual(events(on.mock.calls));
});
