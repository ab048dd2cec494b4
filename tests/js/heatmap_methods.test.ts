// A heatmap of other methods than activation patching, whose controls come from their schemas.
import { expect, test } from "vitest";
import { maybe, part, settled } from "./helpers";
import { choose, show, withoutKernel } from "./shown_heatmap";
import { INFO, makeField, makeSweep } from "./sweeps";

const METHODS = [
  {
    name: "activation_patching",
    label: "activation patching",
    arguments: ["activation", "axes", "metric", "direction", "value", "window", "at"],
  },
  {
    name: "toy_map",
    label: "toy map",
    arguments: ["activation", "axes", "metric", "strength", "signed", "norm"],
  },
];
const TOY = {
  method: "toy_map",
  options: {},
  info: {
    ...INFO,
    methods: METHODS,
    directions: [],
    values: [],
    window: null,
    at: null,
    fields: [
      makeField("strength", "number", { least: 0, most: 2, default: 1, help: "how strong" }),
      makeField("signed", "boolean", { default: false }),
      makeField("norm", "choice", {
        choices: [
          { name: "l1", label: "L1" },
          { name: "l2", label: "L2" },
        ],
        default: "l2",
        applies: { argument: "signed", values: [true] },
      }),
    ],
  },
};

async function openToy(change: Record<string, unknown> = {}) {
  const shown = await show({ ...TOY, ...change });
  maybe(shown.el, "more")?.click();
  await settled();
  return shown;
}

function enter(el: HTMLElement, name: string, text: string): void {
  const field = part<HTMLInputElement>(el, name);
  field.value = text;
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

test("with one method there is no menu of methods", async () => {
  const { el } = await show({ info: { ...INFO, methods: METHODS.slice(0, 1) } });
  expect(maybe(el, "method")).toBeNull();
});

test("another method is asked for under its name, with the arguments that it has", async () => {
  const { el, sent, answer } = await show({ info: { ...INFO, methods: METHODS }, value: { kind: "zero" } });
  const menu = part<HTMLSelectElement>(el, "method");
  expect(menu.selectedOptions[0]?.textContent).toBe("activation patching");
  choose(el, "method", 1);
  expect(sent.at(-1)).toMatchObject({ method: "toy_map" });
  expect(sent.at(-1)?.params).toEqual({
    activation: "resid_pre",
    axes: ["layer", "position"],
    metric: "logit_diff",
  });
  await settled();
  expect(menu.value).toBe("1");
  expect(part(el, "sweep").dataset.stale).toBe("true");
  answer("error");
  await settled();
  expect(menu.value).toBe("0");
});

test("an argument without a control of its own gets one by its type, and is sent with the request", async () => {
  const { el, sent, model } = await openToy();
  expect(part<HTMLInputElement>(el, "option-strength").value).toBe("1");
  enter(el, "option-strength", "3");
  await settled();
  expect(part(el, "complaint").textContent).toBe("“strength” must be a number from 0 to 2.");
  enter(el, "option-strength", "0.5");
  expect(sent.at(-1)?.method).toBe("toy_map");
  expect(sent.at(-1)?.params).toMatchObject({ activation: "resid_pre", strength: 0.5 });
  model.set("options", { strength: 0.5 });
  await settled();
  part<HTMLInputElement>(el, "option-signed").click();
  expect(sent.at(-1)?.params).toMatchObject({ strength: 0.5, signed: true });
});

test("a control is there only where its argument applies", async () => {
  const { el, model, sent } = await openToy();
  expect(maybe(el, "option-norm")).toBeNull();
  model.set("options", { signed: true });
  await settled();
  expect(part<HTMLSelectElement>(el, "option-norm").value).toBe("1");
  choose(el, "option-norm", 0);
  expect(sent.at(-1)?.params).toMatchObject({ signed: true, norm: "l1" });
});

test("arguments that the method lacks have no control", async () => {
  const { el } = await openToy();
  for (const name of ["direction", "value", "window", "at"]) expect(maybe(el, name)).toBeNull();
  expect(maybe(el, "metric")).not.toBeNull();
});

test("the title is the method of the map, and a page says what is not as usual", async () => {
  const result = { ...makeSweep(["layer", "head"], [4, 3]), method: "toy_map" };
  const { el } = await withoutKernel({ ...TOY, result, options: { strength: 0.5, signed: false } });
  expect(el.querySelector("h2")?.textContent).toContain("Toy map");
  expect(part(el, "controls").textContent).toContain("strength 0.5");
  expect(part(el, "controls").textContent).not.toContain("signed");
});

test("an optional number may be left empty, which sends null", async () => {
  const limit = makeField("limit", "number", { least: 0, default: null, optional: true });
  const methods = [{ name: "toy_map", label: "toy map", arguments: ["limit"] }];
  const { el, sent, model, answer } = await openToy({ info: { ...TOY.info, methods, fields: [limit] } });
  expect(part<HTMLInputElement>(el, "option-limit").value).toBe("");
  enter(el, "option-limit", "0.5");
  expect(sent.at(-1)?.params).toMatchObject({ limit: 0.5 });
  model.set("options", { limit: 0.5 });
  answer("result");
  await settled();
  enter(el, "option-limit", "");
  expect(maybe(el, "complaint")).toBeNull();
  expect(sent.at(-1)?.params).toMatchObject({ limit: null });
});

test("an optional number with a default may be emptied, and is then empty in every view", async () => {
  const limit = makeField("limit", "number", { least: 0, default: 2, optional: true });
  const methods = [{ name: "toy_map", label: "toy map", arguments: ["limit"] }];
  const info = { ...TOY.info, methods, fields: [limit] };
  const first = await openToy({ info });
  expect(part<HTMLInputElement>(first.el, "option-limit").value).toBe("2");
  enter(first.el, "option-limit", "");
  expect(first.sent.at(-1)?.params).toMatchObject({ limit: null });
  const second = await show({ ...TOY, info, options: { limit: null } });
  expect(part<HTMLInputElement>(second.el, "option-limit").value).toBe("");
});
