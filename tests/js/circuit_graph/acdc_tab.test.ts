// The tab of ACDC: what it asks for, what vanishes while it runs, and the circuits of all thresholds.
import { describe, expect, test } from "vitest";
import { decodeGraph } from "../../../js/panels/circuit_graph/graph";
import {
  decodeLeft,
  decodeSearch,
  parseThresholds,
  sweepBetween,
} from "../../../js/panels/circuit_graph/search";
import { searchRows } from "../../../js/panels/circuit_graph/tools";
import { maybe, part, press, settled } from "../helpers";
import { choose } from "../shown_heatmap";
import { circuitTraits, faithTraits, makeGraph, makeLeft, makeSearch, searchTraits } from "./circuits";
import {
  circuitWithoutKernel,
  click,
  nodeNames,
  pointAt,
  rowButton,
  rowsOf,
  showCircuit,
} from "./shown_circuit";

const found = (el: HTMLElement) => part(el, "found-size").textContent;
const table = (el: HTMLElement) =>
  [...part(el, "compared").querySelectorAll("tbody tr")].map((row) =>
    [...row.children].map((cell) => cell.textContent),
  );

async function slide(el: HTMLElement, at: number, release = false) {
  const slider = part<HTMLInputElement>(el, "threshold");
  slider.value = String(at);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  if (release) slider.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
}

async function type(el: HTMLElement, name: string, text: string) {
  const field = part<HTMLInputElement>(el, name);
  field.value = text;
  field.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
}

describe("what is asked for", () => {
  test("nothing until Run, and then acdc's own arguments", async () => {
    const { el, sent } = await showCircuit(circuitTraits({ tab: "acdc" }));
    expect(part(el, "nothing").textContent).toContain("Press Run");
    expect(sent).toEqual([]);
    await click(part(el, "run"));
    const defaults = { metric: "logit_diff", order: "reverse", ablation: "counterfactual", seed: 0 };
    expect(sent.at(-1)).toMatchObject({
      method: "acdc",
      params: { ...defaults, threshold: [0.1], start: null },
    });
  });

  test("another metric brings its own threshold; choices stay in another tab until the search begins", async () => {
    const { el, model, sent } = await showCircuit(circuitTraits({ tab: "acdc" }));
    await choose(el, "search-metric", 1);
    expect(part<HTMLInputElement>(el, "search-threshold").value).toBe("0.25");
    await click(part(el, "sweep"));
    expect(part<HTMLInputElement>(el, "search-threshold").value).toBe(
      "0.025, 0.048, 0.093, 0.18, 0.35, 0.67, 1.3, 2.5",
    );
    expect(maybe(el, "sweep")).toBeNull();
    model.set("tab", "edges");
    await settled();
    model.set("tab", "acdc");
    await settled();
    await click(part(el, "run"));
    expect(sent.at(-1)).toMatchObject({ params: { metric: "logit", threshold: sweepBetween(0.025, 2.5) } });
    model.set("search", {
      ...(sent.at(-1) as { params: object }).params,
      threshold: [0.5],
      metric: "logit_diff",
    });
    await settled();
    expect(part<HTMLInputElement>(el, "search-threshold").value).toBe("0.5");
  });

  test("a search may begin with the largest edges, and a seed is asked for where something is drawn", async () => {
    const { el, sent } = await showCircuit(circuitTraits({ tab: "acdc" }));
    expect([maybe(el, "start-size"), maybe(el, "seed")]).toEqual([null, null]);
    await choose(el, "start", 1);
    expect(part<HTMLInputElement>(el, "start-size").value).toBe("10"); // a quarter of 38
    await type(el, "start-size", "7");
    await choose(el, "order", 1);
    await type(el, "seed", "3");
    await click(part(el, "run"));
    expect(sent.at(-1)).toMatchObject({ params: { start: 7, order: "random", seed: 3 } });
    await choose(el, "start", 0);
    await click(part(el, "run"));
    expect(sent.at(-1)).toMatchObject({ params: { start: null } });
  });

  test("what is no threshold gets a sentence and is not asked for", async () => {
    const { el, sent } = await showCircuit(circuitTraits({ tab: "acdc" }));
    await type(el, "search-threshold", "a lot");
    expect(part(el, "complaint").textContent).toContain("Type a threshold above 0");
    await type(el, "search-threshold", "2, 1");
    expect(maybe(el, "complaint")).toBeNull();
    await click(part(el, "run"));
    expect(sent.at(-1)).toMatchObject({ params: { threshold: [1, 2] } });
  });
});

test.each([
  ["0.1", [0.1]],
  ["0.3, 0.1;0.2 0.1", [0.1, 0.2, 0.3]],
  ["1e-3", [0.001]],
  ["0.01 to 1", [0.01, 0.019, 0.037, 0.072, 0.14, 0.27, 0.52, 1]],
  ["0.5\u20134", [0.5, 0.67, 0.91, 1.2, 1.6, 2.2, 3, 4]],
  ["", null],
  ["0", null],
  ["-1", null],
  ["Infinity", null],
  ["0.1, x", null],
  ["1 to 0.1", null],
  ["1 to 2 to 3", null],
  [Array.from({ length: 101 }, (_, i) => i + 1).join(" "), null],
])("the thresholds in %j", (text, expected) => {
  const parsed = parseThresholds(text);
  if (expected) expect(parsed).toEqual(expected);
  else expect(parsed).toMatch(/\.$/);
});

describe("while it runs", () => {
  const running = (change = {}) => searchTraits({ status: "running", searching: makeLeft(), ...change });

  test("what is left is drawn and counted", async () => {
    const { el, model } = await showCircuit(running());
    expect(part(el, "left").textContent).toBe(
      "3 of 38 edges left \u00b7 20 tried \u00b7 threshold 2, 1 of 3",
    );
    expect(part(el, "circuit").dataset.edges).toBe("3");
    expect(nodeNames(el)).toHaveLength(8); // all nodes of the model, so that none moves
    expect(maybe(el, "run")).toBeNull();
    model.set("searching", makeLeft({ at: 1, size: 2, tried: 30 }));
    await settled();
    expect(part(el, "left").textContent).toContain(
      "2 of 38 edges left \u00b7 30 tried \u00b7 threshold 0.5, 2 of 3",
    );
    model.set("searching", null);
    await settled();
    expect(maybe(el, "left")).toBeNull();
    expect(found(el)).toContain("4 of 38 edges");
  });

  test("what is left of a search that is not here is not drawn", async () => {
    const { el } = await showCircuit(running({ searching: makeLeft({ id: "another" }) }));
    expect(maybe(el, "left")).toBeNull();
  });

  test("edges that stay come first, with what they cost, and then the largest by attribution", () => {
    const search = decodeSearch(makeSearch());
    const names = (edges: { from: string; receiver: string; score: number }[]) =>
      edges.map(({ from, receiver, score }) => `${from} ${receiver} ${score}`);
    expect(names(decodeLeft(makeLeft(), search, null).edges)).toEqual([
      "a1.h1 logits 3",
      "m0 logits 4",
      "input m0 0",
    ]);
    const many = makeLeft({ size: 6000 });
    expect(names(decodeLeft(many, search, decodeGraph(makeGraph())).edges)).toEqual([
      "a1.h1 logits 3",
      "m0 logits 4",
      "input m0 0",
    ]);
    const without = makeGraph({}, [["m0", "logits", 2]]);
    expect(names(decodeLeft(many, search, decodeGraph(without)).edges)).toEqual([
      "a1.h1 logits 3",
      "m0 logits 4",
    ]);
  });
});

describe("what was found", () => {
  test("the smallest threshold is shown at first, and the slider shows the others", async () => {
    const { el, model, sent } = await showCircuit(searchTraits());
    expect(found(el)).toBe("4 of 38 edges, 5 nodes \u00b7 logit difference 5.50 (whole model 6.00)");
    expect(part(el, "threshold-shown").textContent).toBe("0.1");
    await slide(el, 2);
    expect(found(el)).toContain("2 of 38 edges");
    expect(model.get("threshold")).toBeNull();
    await slide(el, 2, true);
    expect(model.get("threshold")).toBe(2);
    model.set("threshold", 0.5);
    await settled();
    expect(found(el)).toContain("3 of 38 edges");
    model.set("threshold", 7);
    await settled();
    expect(found(el)).toContain("4 of 38 edges");
    expect(sent).toEqual([]);
  });

  test("the list and the hover say when an edge goes, or what it costs", async () => {
    const { el, model } = await showCircuit(searchTraits());
    expect(rowsOf(el, "costs")).toEqual([
      "embed \u2192 0.1 v> 2",
      "1.1 \u2192 logits> 2",
      "0.1 \u2192 1.0\u20131 k2",
      "embed \u2192 mlp 00.5",
    ]);
    await pointAt(rowButton(el, "costs", 0));
    expect(part(el, "under-pointer").textContent).toBe(
      "embed \u2192 0.1 v costs 5.00, more than the threshold of 2",
    );
    await pointAt(rowButton(el, "costs", 0), false);
    expect(rowButton(el, "costs", 3).title).toContain("goes at a threshold of 0.5");
    await click(rowButton(el, "costs", 2));
    expect(model.get("selection")).toEqual({ activation: "z", layer: 0, head: 1 });
    expect(rowsOf(el, "costs")).toHaveLength(2);
    model.set(
      "acdc",
      makeSearch({ thresholds: [0.5], sizes: [4], values: [5], circuits: makeSearch().circuits }),
    );
    model.set("selection", null);
    await settled();
    expect(rowsOf(el, "costs")[0]).toBe("embed \u2192 0.1 v5.00");
    expect(maybe(el, "threshold")).toBeNull();
    expect(maybe(el, "threshold-chart")).toBeNull();
  });

  test("the chart is read by the pointer and chooses by click and by keys", async () => {
    const { el, model } = await showCircuit(searchTraits());
    const chart = part(el, "threshold-chart");
    expect(chart.getAttribute("aria-valuetext")).toBe("threshold 0.1: 4 edges, logit difference 5.50");
    expect(chart.querySelectorAll("circle")).toHaveLength(6);
    press(chart, "End");
    await settled();
    expect(model.get("threshold")).toBe(2);
    press(chart, "ArrowLeft");
    await settled();
    expect(model.get("threshold")).toBe(0.5);
    chart.dispatchEvent(new PointerEvent("pointermove", { clientX: 0, bubbles: true }));
    await settled();
    expect(part(el, "threshold-words").textContent).toBe("threshold 0.1: 4 edges, logit difference 5.50");
    chart.dispatchEvent(new MouseEvent("click", { clientX: 0, bubbles: true }));
    await settled();
    expect(model.get("threshold")).toBe(0.1);
  });

  test("other circuits stand beside it, at the same threshold", async () => {
    const { el, model } = await showCircuit(searchTraits());
    expect(table(el)).toEqual([
      ["ACDC from all edges", "4", "5.50", "", ""],
      ["ACDC from the largest", "5", "5.75", "0.50", "1 / 2"],
      ["4 largest by attribution", "4", "1.00", "0.25", "2 / 2"],
    ]);
    await slide(el, 2, true);
    expect(table(el)[1]).toEqual(["ACDC from the largest", "1", "2.00", "0.50", "1 / 0"]);
    model.set("acdc", makeSearch({ params: { metric: "logit_diff", start: { own: "start" } } }));
    await settled();
    expect(table(el).map(([name]) => name)).toEqual([
      "ACDC from the largest",
      "ACDC from all edges",
      "2 largest by attribution",
    ]);
  });

  test("the kept circuit is the truth for areas under the curve", async () => {
    const areas = { acdc: 0.934, attribution: 0.5 };
    const { el } = await showCircuit(searchTraits({ areas, kept: ["m0->logits"], kept_name: "<b>" }));
    expect(part(el, "areas-of-kept").textContent).toBe(
      "Against the kept circuit (<b>), the area under the ROC curve is 0.93 for these thresholds, 0.50 for attribution's scores.",
    );
    expect(maybe((await showCircuit(searchTraits({}))).el, "areas-of-kept")).toBeNull();
  });

  test("a search that was stopped says what is undecided", async () => {
    const stopped = makeSearch({ values: [null, 5, 3], provenance: { seconds: 1, undecided: 12 } });
    const { el } = await showCircuit(searchTraits({ acdc: stopped, compared: [] }));
    expect(found(el)).toContain("stopped: 12 edges undecided");
    expect(maybe(el, "compared")).toBeNull();
    expect(part(el, "threshold-chart").querySelectorAll("circle")).toHaveLength(5);
    expect(part(el, "run")).toBeTruthy();
  });

  test("a threshold that removes everything says so", async () => {
    const none = makeSearch({ thresholds: [9], sizes: [0], values: [0] });
    none.circuits = { ...none.circuits, shape: [1, 1], data: btoa("\0") };
    const { el } = await showCircuit(searchTraits({ acdc: none, compared: [] }));
    expect(part(el, "nothing").textContent).toContain("Every edge was removed");
  });

  test("of a large circuit it is said how much is drawn", async () => {
    const { el } = await showCircuit(searchTraits({ acdc: makeSearch({ sizes: [12000, 3, 2] }) }));
    expect(found(el)).toContain("12,000 of 38 edges");
    expect(found(el)).toContain("the 4 costliest are drawn");
  });

  test("the circuit can be that of the other tabs", async () => {
    const { el, model } = await showCircuit(searchTraits());
    const use = () => part(el, "use");
    expect([use().textContent, use().getAttribute("aria-pressed")]).toEqual(["Use this circuit", "false"]);
    await click(use());
    expect(model.get("source")).toBe("acdc");
    expect([use().textContent, use().getAttribute("aria-pressed")]).toEqual([
      "Used in the other tabs",
      "true",
    ]);
    await click(use());
    expect(model.get("source")).toBe("edges");
  });

  test("a table has every edge, and which circuits it is in", () => {
    expect(searchRows(decodeSearch(makeSearch()))).toEqual([
      ["sender", "receiver", makeSearch().metric_label, "at 0.1", "at 0.5", "at 2"],
      ["input", "a0.h1<v>", "5", "1", "1", "1"],
      ["a1.h1", "logits", "3", "1", "1", "1"],
      ["a0.h1", "a1.h0<k>", "2", "1", "1", "0"],
      ["input", "m0", "0.5", "1", "0", "0"],
    ]);
  });

  test("a saved page has the slider and the numbers, and nothing to ask for", async () => {
    const { el } = await circuitWithoutKernel(searchTraits());
    expect([maybe(el, "run"), maybe(el, "use"), maybe(el, "search-threshold")]).toEqual([null, null, null]);
    await slide(el, 2, true);
    expect(found(el)).toContain("2 of 38 edges");
    expect(table(el)).toHaveLength(3);
    const tabs = (page: HTMLElement) =>
      [...page.querySelectorAll("[role=tab]")].map((tab) => tab.textContent);
    expect(tabs(el)).toEqual(["Edges", "ACDC"]);
    expect(tabs((await circuitWithoutKernel(faithTraits())).el)).toEqual(["Edges", "Faithfulness"]);
  });
});

describe("the circuit of another tab", () => {
  test("is chosen there once something was found, and has no slider of its own", async () => {
    const { el, model } = await showCircuit(faithTraits());
    expect(maybe(el, "source")).toBeNull();
    model.set("acdc", makeSearch());
    await settled();
    await choose(el, "source", 1);
    expect(model.get("source")).toBe("acdc");
    expect(maybe(el, "edges")).toBeNull();
    expect(part(el, "source").parentElement?.textContent).toContain("of ACDC, at 0.1");
    await choose(el, "source", 0);
    expect(maybe(el, "edges")).not.toBeNull();
  });
});
