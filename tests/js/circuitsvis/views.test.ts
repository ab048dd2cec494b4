import axe from "axe-core";
import { afterEach, expect, test } from "vitest";
import circuitsvis from "../../../js/panels/circuitsvis";
import type { Figure } from "../../../js/panels/circuitsvis/figure";
import { maybe, modelWithKernel, mountWidget, part, press, settled, unexplained } from "../helpers";
import {
  columnsFigure,
  floats,
  HOSTILE,
  predictionsFigure,
  samplesFigure,
  TOKENS,
  tokensFigure,
  topsFigure,
  traits,
} from "./figures";

let cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
});

async function open(figure: Figure, change: object = {}) {
  const kernel = modelWithKernel(traits(figure, change));
  const mounted = mountWidget(circuitsvis, kernel.model);
  cleanups.push(mounted.cleanup);
  await settled();
  return { ...kernel, el: mounted.el };
}

const all = (el: HTMLElement, selector: string) => [...el.querySelectorAll<HTMLElement>(selector)];
const texts = (el: HTMLElement, selector: string) => all(el, selector).map((found) => found.textContent);
const token = (el: HTMLElement, i: number, text = 0) =>
  all(el, "[data-hs=text]")[text]?.querySelector(`[data-token="${i}"]`) as HTMLElement;
const readout = (el: HTMLElement) => part(el, "readout").textContent;
const options = (el: HTMLElement, name: string) => texts(part(el, name), "option");

async function hover(element: Element, type = "pointerover") {
  element.dispatchEvent(new PointerEvent(type, { bubbles: type === "pointerover" }));
  await settled();
}

async function choose(el: HTMLElement, name: string, label: string) {
  const select = part<HTMLSelectElement>(el, name);
  select.value = String(options(el, name).indexOf(label));
  select.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
}

async function type(el: HTMLElement, name: string, text: string) {
  const field = part<HTMLInputElement>(el, name);
  field.value = text;
  press(field, "Enter");
  await settled();
}

// Tokens

test("tokens are text, never HTML, each with its exact value", async () => {
  const { el } = await open(tokensFigure());
  expect(el.querySelector("img")).toBeNull();
  expect(token(el, 3).textContent).toBe(HOSTILE.replace(" ", "\u2423"));
  expect(all(el, "[data-token]").map(({ dataset }) => dataset.value)).toEqual(["0.1", "2", "-1", "0", "NaN"]);
  expect(token(el, 4).style.background).toBe("");
  expect(token(el, 1).style.background).not.toBe(token(el, 0).style.background);
  expect(all(el, "br")).toHaveLength(1);
});

test("a token is read under the pointer, and stays when it is clicked", async () => {
  const { el, model } = await open(tokensFigure());
  await hover(token(el, 2));
  expect(readout(el)).toBe("\u2423of token 2 \u22121");
  token(el, 2).click();
  await hover(part(el, "text"), "pointerleave");
  expect(model.get("selection")).toEqual({ token: 2 });
  expect(readout(el)).toContain("token 2");
  expect(token(el, 2).getAttribute("aria-selected")).toBe("true");
  await hover(token(el, 4));
  expect(readout(el)).toContain("no number");
  token(el, 2).click();
  expect(model.get("selection")).toBeNull();
});

test("arrow keys read, Enter pins, Escape lets go", async () => {
  const { el, model } = await open(tokensFigure());
  const text = part(el, "text");
  for (const key of ["ArrowRight", "ArrowRight", "End", "Home", "ArrowRight"]) {
    expect(press(text, key).defaultPrevented).toBe(true);
    await settled();
  }
  expect(readout(el)).toContain("token 1");
  const active = token(el, 1);
  expect(text.getAttribute("aria-activedescendant")).toBe(active.id);
  expect(active.getAttribute("aria-label")).toBe("\u2423capital, 2");
  press(text, "Enter");
  await settled();
  expect(model.get("selection")).toEqual({ token: 1 });
  press(text, "Escape");
  await settled();
  expect(model.get("selection")).toBeNull();
  expect(text.hasAttribute("aria-activedescendant")).toBe(false);
  expect(press(text, "ArrowRight", { ctrlKey: true }).defaultPrevented).toBe(false);
});

test("a pin from Python is shown, and one that is nowhere does no harm", async () => {
  const { el, model } = await open(tokensFigure(), { selection: { token: 1 } });
  expect(readout(el)).toContain("capital");
  model.set("selection", { token: 99 });
  await settled();
  expect(readout(el)).toContain("Hover");
});

test("no tokens, wrong colours and warnings are said", async () => {
  const { el } = await open(
    tokensFigure({ tokens: [], values: floats([0], []), warnings: ["Mind the gap."] }),
  );
  expect(part(el, "nothing").textContent).toBe("There are no tokens: give at least one.");
  expect(part(el, "warning").textContent).toBe("Mind the gap.");
  const other = await open(tokensFigure({ colors: { positive: "blurple", negative: "so\nso" } }));
  expect(part(other.el, "warning").textContent).toContain("“blurple” and “so\nso” are no CSS colour");
});

// Columns

const checked = (el: HTMLElement) => el.querySelector('[aria-checked="true"]')?.textContent;
const radio = (el: HTMLElement, i: number) => all(el, "[role=radio]")[i] as HTMLElement;

test("hovering a value's name colours by it and stays; a click locks", async () => {
  const { el } = await open(columnsFigure());
  expect(checked(el)).toBe("logits");
  await hover(radio(el, 2), "pointerenter");
  await hover(part(el, "columns"), "pointerleave");
  expect(checked(el)).toBe("probs");
  expect(token(el, 1).dataset.value).toBe("0.125");
  radio(el, 1).click();
  await hover(radio(el, 0), "pointerenter");
  expect(checked(el)).toBe("logits");
  await hover(part(el, "columns"), "pointerleave");
  expect(checked(el)).toBe("log_probs");
  press(radio(el, 1), "ArrowRight");
  await settled();
  expect(checked(el)).toBe("probs");
});

test("all values of the token are read, whichever colours", async () => {
  const { el } = await open(columnsFigure());
  expect(texts(part(el, "values"), "dd")).toEqual(["\u2013", "\u2013", "\u2013"]);
  await hover(token(el, 1));
  expect(texts(part(el, "values"), "dt")).toEqual(["logits", "log_probs", "probs"]);
  expect(texts(part(el, "values"), "dd")).toEqual(["\u22124", "\u22122", "0.125"]);
});

test("bounds are those of the value that colours, until they are typed", async () => {
  const { el, model } = await open(columnsFigure());
  const bounds = () => ["low", "high"].map((name) => part<HTMLInputElement>(el, name).value);
  expect(bounds()).toEqual(["\u22124", "3"]);
  const before = token(el, 0).style.background;
  await type(el, "high", "12");
  expect(model.get("chosen")).toEqual({ column: 0, high: 12 });
  expect(token(el, 0).style.background).not.toBe(before);
  await type(el, "low", "0.5");
  expect(part(el, "complaint").textContent).toContain("below 0");
  radio(el, 2).click();
  await settled();
  expect(bounds()).toEqual(["\u22121e\u22127", "0.25"]);
  await type(el, "high", "0.01");
  expect(bounds()[1]).toBe("0.01");
  part(el, "reset").click();
  await settled();
  expect(bounds()[1]).toBe("0.25");
});

// Predictions

test("the true token and the likeliest ones are read with rank and probability", async () => {
  const { el } = await open(predictionsFigure());
  expect(texts(el, "[data-token]")).toEqual(["\u2423Oslo", "\u2423is"]);
  await hover(token(el, 0));
  expect(readout(el)).toBe("<bos> is followed by \u2423Oslo");
  expect(token(el, 0).getAttribute("aria-label")).toBe("\u2423Oslo, \u22120.5");
  expect(all(el, "[data-token]").map(({ dataset }) => dataset.value)).toEqual(["-0.5", "-Infinity"]);
  expect(token(el, 0).style.background).not.toBe(token(el, 1).style.background);
  expect(texts(part(el, "true-token"), "td")).toEqual(["1", "\u2423Oslo", "60.65%", "\u22120.500"]);
  const rows = all(part(el, "expected"), "tbody:last-child tr");
  expect(rows.map((row) => texts(row, "td"))).toEqual([
    ["0", "\u2423Paris", "77.88%", "\u22120.250"],
    ["1", "\u2423Oslo", "60.65%", "\u22120.500"],
  ]);
  expect(rows.map((row) => row.className)).toEqual(["", "hs-cv-same"]);
  await hover(token(el, 1));
  expect(texts(part(el, "true-token"), "td")).toEqual(["3", "\u2423is", "0.00%", "\u2212\u221e"]);
});

test("one token predicts nothing", async () => {
  const none = floats([0], []);
  const figure = predictionsFigure({ tokens: ["<bos>"], log_probs: none, top_log_probs: floats([0, 2], []) });
  const { el } = await open(figure);
  expect(part(el, "nothing").textContent).toContain("at least two tokens");
});

// Samples

test("menus choose layer, neuron and samples", async () => {
  const { el, model } = await open(samplesFigure());
  expect(options(el, "first")).toEqual(["Layer embed", "Layer 0"]);
  expect(options(el, "second")).toEqual(["Neuron 0", "Neuron 1", "Neuron 2"]);
  expect(options(el, "pages")).toEqual(["Samples 0\u20134", "Samples 5\u20136"]);
  expect(all(el, "[data-hs=sample]")).toHaveLength(5);
  await choose(el, "first", "Layer 0");
  await choose(el, "second", "Neuron 2");
  expect(token(el, 1, 1).dataset.value).toBe("123");
  part(el, "next").click();
  await settled();
  expect(texts(el, "[data-hs=sample] [role=listbox]")).toEqual(["i"]);
  expect(el.textContent).toContain("This sample has no tokens.");
  await choose(el, "count", "Samples per page: 1");
  expect(all(el, "[data-hs=sample]")).toHaveLength(1);
  expect(model.get("chosen")).toEqual({ first: 1, second: 2, start: 0, count: 1 });
});

test("one colour scale for all, or the neuron's own", async () => {
  const { el } = await open(samplesFigure());
  const before = token(el, 1).style.background;
  await choose(el, "scale", "scale of this neuron");
  expect(token(el, 1).style.background).not.toBe(before);
  const alone = {
    tokens: [["a"]],
    parts: [[{ values: floats([1], [1]) }]],
    sizes: [1, 1] as [number, number],
  };
  const one = await open(samplesFigure({ ...alone, labels: [null, null] }));
  expect(part<HTMLSelectElement>(one.el, "scale").value).toBe("1");
  expect(maybe(one.el, "pages")).toBeNull();
});

test("a token of a sample is pinned with its sample", async () => {
  const { el, model } = await open(samplesFigure());
  token(el, 2, 1).click();
  await settled();
  expect(model.get("selection")).toEqual({ sample: 1, token: 2 });
  expect(readout(el)).toBe("e sample 1, token 2 4");
});

test("of a large figure only the shown part is asked for", async () => {
  const { parts } = samplesFigure();
  const { el, sent, answer } = await open(samplesFigure({ parts: null }));
  expect(sent.map(({ method, params }) => [method, params])).toEqual([
    ["figure_part", { first: 0, second: 0 }],
  ]);
  expect(part(el, "loading").textContent).toContain("Fetching");
  answer("figure_part", undefined, { first: 0, second: 0, part: parts?.[0]?.[0] });
  answer("result");
  await settled();
  expect(token(el, 1).dataset.value).toBe("1");
  await choose(el, "second", "Neuron 1");
  answer("figure_part", undefined, { first: 0, second: 1, part: parts?.[0]?.[1] });
  await settled();
  expect(token(el, 1).dataset.value).toBe("11");
  await choose(el, "second", "Neuron 0");
  expect(token(el, 1).dataset.value).toBe("1");
  expect(sent).toHaveLength(2);
});

test("of very many neurons the number is typed", async () => {
  const { el, model, sent } = await open(samplesFigure({ parts: null, sizes: [2, 50_000] }));
  expect(part(el, "second").tagName).toBe("INPUT");
  await type(el, "second", "50000");
  expect(part(el, "complaint").textContent).toBe("Neuron is a whole number from 0 to 49999.");
  await type(el, "second", "49999");
  expect(model.get("chosen")).toEqual({ second: 49_999 });
  expect(sent.at(-1)?.params).toEqual({ first: 0, second: 49_999 });
});

test("choices that are out of range are brought into it", async () => {
  const { el } = await open(samplesFigure(), { chosen: { first: 9, second: -3, start: 400, count: 0 } });
  expect(part<HTMLSelectElement>(el, "first").value).toBe("1");
  expect(part<HTMLSelectElement>(el, "second").value).toBe("0");
  expect(all(el, "[data-hs=sample]")).toHaveLength(1);
});

// Top tokens

const cells = (el: HTMLElement) =>
  all(el, "[data-hs=tops] tbody tr").map((row) => [
    row.querySelector("th")?.textContent,
    ...all(row, "td").map(({ dataset }) => Number(dataset.value)),
  ]);

test("the table has the top and the bottom of each column, from large to small", async () => {
  const { el } = await open(topsFigure());
  expect(texts(el, "[data-hs=tops] thead th")).toEqual(["Direction", "0", "1", "2", "3", "4"]);
  expect(cells(el).map((row) => row.slice(0, 3))).toEqual([
    ["top 1", 30, 31],
    ["top 2", 20, 21],
    ["top 3", 10, 11],
    ["bottom 3", -10, -11],
    ["bottom 2", -20, -21],
    ["bottom 1", -30, -31],
  ]);
  expect(el.querySelector("img")).toBeNull();
});

test("k, filter, columns and sample choose what is in it", async () => {
  const { el } = await open(topsFigure());
  await choose(el, "k", "k: 1");
  expect(cells(el).map((row) => row[0])).toEqual(["top 1", "bottom 1"]);
  await choose(el, "filter", "bottom");
  await choose(el, "count", "Directions to show: 3");
  expect(options(el, "pages")).toEqual(["Direction 0\u20132", "Direction 3\u20135", "Direction 6"]);
  await choose(el, "pages", "Direction 6");
  expect(cells(el)).toEqual([["bottom 1", -36]]);
  await choose(el, "first", "Sample second");
  expect(cells(el)).toEqual([["bottom 1", -20, -21]]);
});

test("a cell is read, pinned, and reached with the arrow keys", async () => {
  const { el, model } = await open(topsFigure());
  const cell = (row: number, column: number) =>
    el.querySelector(`[data-row="${row}"][data-column="${column}"]`) as HTMLElement;
  await hover(cell(2, 1));
  expect(readout(el)).toBe(`${HOSTILE.replace(" ", "\u2423")} token 2 \u00b7 Direction 1, top 3 11`);
  cell(2, 1).click();
  await hover(part(el, "tops"), "pointerleave");
  expect(model.get("selection")).toEqual({ row: 2, column: 1 });
  const table = part(el, "tops");
  press(table, "ArrowDown");
  await settled();
  press(table, "End");
  await settled();
  expect(readout(el)).toContain("Direction 4, bottom 3");
  expect(table.getAttribute("aria-activedescendant")).toBe(cell(3, 4).id);
  press(table, "Escape");
  await settled();
  expect(model.get("selection")).toBeNull();
});

// All of them

test.each<[string, Figure]>([
  ["tokens", tokensFigure()],
  ["no tokens", tokensFigure({ tokens: [], values: floats([0], []) })],
  ["columns", columnsFigure()],
  ["predictions", predictionsFigure()],
  ["samples", samplesFigure()],
  ["a part that is on its way", samplesFigure({ parts: null })],
  ["top tokens", topsFigure()],
])("axe finds nothing wrong with %s, and its controls say what they are for", async (_, figure) => {
  const { el } = await open(figure);
  const rules = { "color-contrast": { enabled: false }, region: { enabled: false } };
  const first = el.querySelector("[data-token], [data-row]");
  if (first) await hover(first);
  const { violations } = await axe.run(el, { rules });
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
  expect(unexplained(el)).toEqual([]);
});

test("what is shown can be taken away as a table", async () => {
  const { el } = await open(tokensFigure({ tokens: ["=1", ...TOKENS.slice(1)] }));
  const written: string[] = [];
  Object.defineProperty(navigator, "clipboard", {
    configurable: true,
    value: { writeText: async (text: string) => written.push(text) },
  });
  part(el, "copy").click();
  await settled();
  expect(written[0]?.split("\n").slice(0, 3)).toEqual([
    "position\ttoken\tvalue",
    "0\t'=1\t0.1",
    "1\t capital\t2",
  ]);
});

test("an unknown kind is said, not drawn", async () => {
  const { el } = await open({ ...tokensFigure(), kind: "hello" } as unknown as Figure);
  expect(el.textContent).toContain('unknown kind of figure: "hello"');
});
