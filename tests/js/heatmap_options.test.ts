import { expect, test } from "vitest";
import { maybe, part, press, settled } from "./helpers";
import { choose, show, withoutKernel } from "./shown_heatmap";
import { INFO, makeSweep } from "./sweeps";

const BY_HEAD = {
  info: INFO,
  activation: "z",
  axes: ["layer", "head"],
  result: makeSweep(["layer", "head"], [4, 3]),
};

function enter(el: HTMLElement, name: string, text: string): void {
  const field = part<HTMLInputElement>(el, name);
  field.value = text;
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

async function open(traits: Record<string, unknown> = BY_HEAD) {
  const shown = await show(traits);
  part(shown.el, "more").click();
  await settled();
  return shown;
}

test("the usual options take no room until they are asked for", async () => {
  const { el } = await show(BY_HEAD);
  expect(maybe(el, "value")).toBeNull();
  const more = part(el, "more");
  expect(more.getAttribute("aria-expanded")).toBe("false");
  more.click();
  await settled();
  expect([maybe(el, "value"), maybe(el, "window"), maybe(el, "at")]).not.toContain(null);
  expect(more.getAttribute("aria-expanded")).toBe("true");
});

test("an option that is not as usual is always shown", async () => {
  const unusual = { value: { kind: "scale", factor: 0.5 }, window: 3, at: 4, color_limit: 0.5 };
  const { el } = await show({ ...BY_HEAD, ...unusual });
  expect(part<HTMLInputElement>(el, "value-factor").value).toBe("0.5");
  expect(part<HTMLInputElement>(el, "window").value).toBe("3");
  expect(part<HTMLSelectElement>(el, "at").selectedOptions[0]?.textContent).toBe("read at 4 \u2423Sweden");
  expect(part<HTMLInputElement>(el, "color-limit").value).toBe("0.5");
  expect(maybe(el, "more")).toBeNull();
});

test("options that do not apply are not offered", async () => {
  const { el } = await open({ info: INFO, activation: "embed" });
  expect(maybe(el, "window")).toBeNull();
  expect(part<HTMLSelectElement>(el, "value").options[4]?.disabled).toBe(true);
});

test("what is put in is asked for with the rest of the choice", async () => {
  const { el, sent } = await open();
  choose(el, "value", 2);
  expect(sent.at(-1)?.params).toEqual({
    activation: "z",
    axes: ["layer", "head"],
    metric: "logit_diff",
    direction: "denoise",
    value: { kind: "zero" },
    window: 1,
    at: null,
  });
  choose(el, "at", 0);
  expect(sent.at(-1)?.params).toMatchObject({ value: { kind: "zero" }, at: null });
  choose(el, "at", 1);
  expect(sent.at(-1)?.params).toMatchObject({ value: { kind: "zero" }, at: 0 });
});

test("a third prompt is asked for once it is typed", async () => {
  const { el, sent } = await open();
  choose(el, "value", 1);
  await settled();
  expect(sent).toHaveLength(0);
  enter(el, "value-text", "  ");
  await settled();
  expect(part(el, "complaint").textContent).toBe("The prompt is empty. Type a value.");
  enter(el, "value-text", "The capital of Peru is");
  expect(sent.at(-1)?.params.value).toEqual({ kind: "prompt", text: "The capital of Peru is" });
});

test("a factor must be a number, with any kind of minus", async () => {
  const { el, sent } = await open();
  choose(el, "value", 5);
  expect(sent.at(-1)?.params.value).toEqual({ kind: "add", factor: 1 });
  await settled();
  for (const nonsense of ["", "two", "Infinity", "1e999"]) {
    enter(el, "value-factor", nonsense);
    await settled();
    expect(part(el, "complaint").textContent).toBe("“factor” must be a number.");
    expect(part(el, "value-factor").getAttribute("aria-invalid")).toBe("true");
  }
  expect(sent).toHaveLength(1);
  enter(el, "value-factor", "\u22122.5");
  await settled();
  expect(sent.at(-1)?.params.value).toEqual({ kind: "add", factor: -2.5 });
  expect(maybe(el, "complaint")).toBeNull();
});

test("the mean can be one of each position", async () => {
  const { el, sent } = await open();
  choose(el, "value", 3);
  await settled();
  part<HTMLInputElement>(el, "value-by_position").click();
  expect(sent.at(-1)?.params.value).toEqual({ kind: "mean", by_position: true });
});

test("a window is at most as large as there are layers", async () => {
  const { el, sent } = await open();
  for (const nonsense of ["0", "-1", "5", "1.5", "x", ""]) {
    enter(el, "window", nonsense);
    await settled();
    expect(part(el, "complaint").textContent).toBe("“window” must be a whole number from 1 to 4.");
  }
  expect(sent).toHaveLength(0);
  enter(el, "window", "3");
  expect(sent.at(-1)?.params.window).toBe(3);
});

test.each([
  ["denoise", { kind: "other" }, "clean into corrupt; 1 = answer fully restored"],
  ["noise", { kind: "other" }, "corrupt into clean; \u22121 = answer fully destroyed"],
  ["denoise", { kind: "prompt", text: "x" }, "a third prompt into corrupt; 1 = as the clean run"],
  ["noise", { kind: "zero" }, "zeros into clean; \u22121 = as the corrupt run"],
  ["denoise", { kind: "mean", by_position: true }, "means into corrupt; 1 = as the clean run"],
  ["noise", { kind: "resample" }, "runs of other prompts into clean; \u22121 = as the corrupt run"],
  ["denoise", { kind: "scale", factor: 2 }, "activations scaled in corrupt; 1 = as the clean run"],
  ["denoise", { kind: "add", vector: null }, "the difference added to corrupt; 1 = as the clean run"],
  ["noise", { kind: "add", vector: true }, "a given vector added to clean; \u22121 = as the corrupt run"],
] as const)(
  "the subtitle says what was put in, and what the scale's end is: %s, %o",
  async (direction, value, words) => {
    const result = makeSweep(["layer", "head"], [4, 3]);
    Object.assign(result.params, { direction, value });
    const { el } = await show({ ...BY_HEAD, result });
    expect(part(el, "subtitle").textContent).toBe(words);
  },
);

test("before the first result the subtitle is of what was chosen", async () => {
  const { el } = await show({ ...BY_HEAD, result: null, value: { kind: "zero" } });
  expect(part(el, "subtitle").textContent).toBe("zeros into corrupt; 1 = as the clean run");
});

test("a vector that was given in Python is called so, and the difference can be chosen in its place", async () => {
  const { el, sent } = await show({ ...BY_HEAD, value: { kind: "add", factor: 2, vector: true } });
  const menu = part<HTMLSelectElement>(el, "value");
  expect(menu.selectedOptions[0]?.textContent).toBe("add a given vector");
  expect(part<HTMLInputElement>(el, "value-factor").value).toBe("2");
  enter(el, "value-factor", "3");
  expect(sent.at(-1)?.params.value).toEqual({ kind: "add", factor: 3, vector: true });
  choose(el, "value", 5);
  expect(sent.at(-1)?.params.value).toEqual({ kind: "add", factor: 1 });
});

test("a given vector is said on a page", async () => {
  const { el } = await withoutKernel({ ...BY_HEAD, value: { kind: "add", factor: 2, vector: true } });
  expect(part(el, "controls").textContent).toContain("add a given vector times 2.00");
});

test("how many draws are averaged is said on a page", async () => {
  const { el } = await withoutKernel({ ...BY_HEAD, value: { kind: "resample", draws: 3, seed: 1 } });
  expect(part(el, "controls").textContent).toContain("resample \u00b7 3 draws per cell");
});

test("samples have a number of draws and a seed", async () => {
  const { el, sent } = await open();
  choose(el, "value", 4);
  expect(sent.at(-1)?.params.value).toEqual({ kind: "resample", draws: 1, seed: 0 });
  await settled();
  for (const nonsense of ["0", "1001", "1.5", "-1", "x", ""]) {
    enter(el, "value-draws", nonsense);
    await settled();
    expect(part(el, "complaint").textContent).toBe("“draws” must be a whole number from 1 to 1000.");
  }
  expect(part(el, "value-draws").getAttribute("aria-invalid")).toBe("true");
  expect(part(el, "value-seed").getAttribute("aria-invalid")).toBe("false");
  expect(sent).toHaveLength(1);
  enter(el, "value-draws", "20");
  expect(sent.at(-1)?.params.value).toEqual({ kind: "resample", draws: 20, seed: 0 });
  await settled();
  enter(el, "value-seed", "0.5");
  await settled();
  expect(part(el, "complaint").textContent).toBe("“seed” must be a whole number, 0 or more.");
  enter(el, "value-seed", "7");
  await settled();
  expect(sent.at(-1)?.params.value).toEqual({ kind: "resample", draws: 20, seed: 7 });
  expect(maybe(el, "complaint")).toBeNull();
});

test("a complaint about one field stays when another is good", async () => {
  const { el } = await open({ ...BY_HEAD, value: { kind: "resample", draws: 2, seed: 0 } });
  enter(el, "value-draws", "9999");
  await settled();
  enter(el, "value-seed", "3");
  await settled();
  expect(part(el, "complaint").textContent).toContain("“draws”");
});

test("Python's traits decide when a request was answered, whatever the order of their fields", async () => {
  const { el, model, sent } = await open();
  choose(el, "value", 6);
  await settled();
  expect(part<HTMLSelectElement>(el, "value").value).toBe("6");
  model.set("value", { factor: 0.5, kind: "scale" });
  await settled();
  model.set("value", { kind: "zero" });
  await settled();
  expect(sent).toHaveLength(1);
  expect(part<HTMLSelectElement>(el, "value").value).toBe("2");
});

test("a traceback of the user's own function is there, folded, as text", async () => {
  const traceback = "Traceback:\n  <b>1/0</b>";
  const { el } = await show({ error: { field: "metric", message: "Your metric failed.", traceback } });
  const details = part<HTMLDetailsElement>(el, "traceback");
  expect(details.open).toBe(false);
  expect(details.querySelector("pre")?.textContent).toBe(traceback);
});

test("the code of what is shown can be copied, where there is some", async () => {
  const { el, model } = await show();
  expect(maybe(el, "copy-code")).toBeNull();
  model.set("code", "import interp_backend as ib");
  await settled();
  expect(part(el, "copy-code").textContent).toBe("Copy code");
});

test("Enter takes what was typed, once, though the host swallows what a browser makes of it", async () => {
  const { el, sent } = await open();
  const field = part<HTMLInputElement>(el, "window");
  field.value = "3";
  press(field, "Enter");
  expect(sent.at(-1)?.params.window).toBe(3);
  field.dispatchEvent(new Event("change", { bubbles: true })); // as when it is left
  expect(sent).toHaveLength(1);
});

test("what is wrong with a field goes with the field", async () => {
  const { el, model } = await open();
  enter(el, "window", "x");
  await settled();
  expect(maybe(el, "complaint")).not.toBeNull();
  model.set("activation", "embed");
  await settled();
  expect([maybe(el, "window"), maybe(el, "complaint")]).toEqual([null, null]);
  model.set("activation", "z");
  await settled();
  enter(el, "window", "x");
  for (let i = 0; i < 2; i++) {
    part(el, "more").click();
    await settled();
  }
  expect(maybe(el, "window")).not.toBeNull();
  expect(maybe(el, "complaint")).toBeNull();
});

test("a prompt that is still to be typed gives way to what Python sets", async () => {
  const { el, model } = await open();
  choose(el, "value", 1);
  await settled();
  model.set("value", { kind: "zero" });
  await settled();
  expect(part<HTMLSelectElement>(el, "value").value).toBe("2");
});
