// The third tab: the circuit under every ablation, and circuits of every size.
import { expect, test } from "vitest";
import { decodeCurves, decodeRobustness } from "../../../js/panels/circuit_graph/runs";
import { CircuitState } from "../../../js/panels/circuit_graph/state";
import { runRows } from "../../../js/panels/circuit_graph/tools";
import { MemoryModel } from "../../../js/report/memory_model";
import { eventually } from "../eventually";
import { maybe, part, press, settled } from "../helpers";
import { circuitTraits, curveTraits, faithTraits, makeCurves, makeRobustness, SETTING } from "./circuits";
import { circuitWithoutKernel, click, drag, showCircuit } from "./shown_circuit";

const table = (el: HTMLElement) => part(el, "robustness");
const numbers = (el: HTMLElement) =>
  [...table(el).querySelectorAll("tbody tr")].map((row) =>
    [...row.querySelectorAll("td")].map((cell) => cell.textContent),
  );
const NONE = ["\u2013", "\u2013", "\u2013"];

test("a number is found by its ablation, level and positions", () => {
  const robustness = decodeRobustness(makeRobustness());
  const zero = robustness.of({ ablation: "zero", level: "node", positions: "differing" });
  expect(zero.f).toBeCloseTo(16 / 20);
  expect([zero.low, zero.high, zero.rest].map((one) => one.toFixed(2))).toEqual(["0.70", "0.90", "-0.16"]);
  expect(robustness.of({ ...SETTING, ablation: "mean" }).f).toBeNaN();
});

test("the table has every combination, and says why a number is missing", async () => {
  const { el } = await showCircuit(faithTraits());
  expect(numbers(el)).toEqual([
    ["0%", "5%", "10%"],
    ["15%", "20%", "25%"],
    NONE,
    NONE,
    ["60%", "65%", "70%"],
    ["75%", "80%", "85%"],
    NONE,
    NONE,
  ]);
  const headers = [...table(el).querySelectorAll('th[scope="rowgroup"]')].map((cell) => cell.textContent);
  expect(headers).toEqual(["counterfactual", "mean", "zero", "resample"]);
  const reasons = [...el.querySelectorAll('[data-hs="reason"]')].map((one) => one.textContent);
  expect(reasons).toEqual(["One prompt has no mean.", "There is no other prompt."]);
  expect(part(el, "spread").textContent).toBe(
    "The circuit alone, 5 edges or the 4 nodes that they leave, keeps 0% to 85% of what the model does, depending on what stands in for the rest.",
  );
  expect(part(el, "subtitle").textContent).toContain("100% is the whole model");
});

test("a number says its interval, and what everything but the circuit does", async () => {
  const { el } = await showCircuit(faithTraits());
  expect(table(el).querySelector("button")?.title).toBe(
    "counterfactual ablation of edges, positions: all: the circuit 0%, 95% interval \u221210% to 10%; everything but it 0%. Click for circuits of every size",
  );
});

test("a click asks for circuits of every size there, and the number is marked", async () => {
  const { el, model, sent } = await showCircuit(faithTraits());
  expect(part(el, "no-curves").textContent).toBe("Click a number to run circuits of every size.");
  await click([...table(el).querySelectorAll("button")][7] as HTMLElement);
  const at = { ablation: "zero", level: "edge", positions: "differing" };
  expect(sent.at(-1)).toMatchObject({ method: "faithfulness_at", params: at });
  model.set("setting", at);
  model.set("status", "running");
  await settled();
  expect(table(el).querySelector('[aria-pressed="true"]')?.textContent).toBe("65%");
  expect(part(el, "no-curves").textContent).toBe("Running circuits of every size\u2026");
});

test("what was stopped does not say that it runs, and can be run", async () => {
  const { el, sent } = await showCircuit(faithTraits({ setting: SETTING }));
  expect(part(el, "no-curves").textContent).toBe("Running circuits of every size\u2026");
  await eventually(() => part(el, "run"));
  expect(part(el, "no-curves").textContent).toBe("Click a number to run circuits of every size.");
  await click(part(el, "run"));
  expect(sent.at(-1)).toMatchObject({ method: "run_again" });
});

test("a table that was stopped can be run on, a whole one can not", async () => {
  const partly = makeRobustness({ provenance: { seconds: 0.1, complete: false } });
  const { el, model } = await showCircuit(faithTraits({ robustness: partly }));
  await eventually(() => part(el, "run"));
  model.set("robustness", makeRobustness());
  await settled();
  expect(maybe(el, "run")).toBeNull();
});

test("curves are drawn, named with a piece of their line, and read with the keyboard", async () => {
  const { el } = await showCircuit(curveTraits());
  const chart = part(el, "curve-chart");
  const drawn = [...chart.querySelectorAll<SVGElement>("[data-curve]")].map(({ dataset }) => dataset.curve);
  expect(drawn).toEqual(["signed", "absolute", "complement", "random 0", "random 1"]);
  expect([...chart.querySelectorAll('[data-hs="curve-name"]')].map((one) => one.textContent)).toEqual([
    ...["signed (CPR)", "either sign (CMD)", "random", "all others"],
  ]);
  expect(chart.getAttribute("aria-valuetext")).toBe(
    "100% of all edges: signed (CPR) 100%, either sign (CMD) 100%, all others 0%",
  );
  press(chart, "Home");
  await settled();
  press(chart, "ArrowRight");
  await settled();
  expect(part(el, "curve-words").textContent).toBe(
    "10% of all edges: signed (CPR) 50%, either sign (CMD) 75%, all others 50%",
  );
});

test("the stability of the circuits is said where it is known", async () => {
  const { el } = await showCircuit(curveTraits({ faithfulness: makeCurves({ jaccard: [0.1, 0.5, 1] }) }));
  expect(part(el, "curve-words").textContent).toContain("; Jaccard 1.00");
});

test("CPR and CMD are always together, with what is known of them", async () => {
  const { el, model } = await showCircuit(curveTraits());
  const areas = () => [...part(el, "areas").querySelectorAll("div")].map((one) => one.textContent);
  expect(areas()).toEqual(["CPR0.58 [0.50, 0.60]", "CMD0.12", "CPR of random circuits0.25"]);
  model.set("faithfulness", makeCurves({ cpr: null, cmd: null, random_cpr: null }));
  await settled();
  expect(areas()).toEqual(["CPR\u2013 [0.50, 0.60]", "CMD\u2013"]);
});

test("decoded curves have a row of numbers each", () => {
  const { curves } = decodeCurves(makeCurves());
  expect(curves.map(({ name, values }) => [name, ...values])).toEqual([
    ["signed", 0, 0.5, 1],
    ["absolute", 0.25, 0.75, 1],
    ["complement", 1, 0.5, 0],
    ["random 0", 0, 0, 1],
    ["random 1", 0, expect.closeTo(0.1), 1],
  ]);
});

test("the slider of the circuit is here, too, and only its release asks", async () => {
  const { el, model, sent } = await showCircuit(faithTraits());
  await drag(el, 2);
  expect(model.get("edges")).toBe(5);
  await drag(el, 2, true);
  expect(model.get("edges")).toBe(3);
  expect(sent).toEqual([]);
});

test("a table has the curves, or else all combinations", () => {
  const rows = (traits: Record<string, unknown>) => runRows(new CircuitState(new MemoryModel(traits)));
  expect(rows(curveTraits()).slice(0, 3)).toEqual([
    ["size", "signed", "absolute", "complement", "random 0", "random 1"],
    ["0.01", "0", "0.25", "1", "0", "0"],
    ["0.1", "0.5", "0.75", "0.5", "0", "0.1"],
  ]);
  const all = rows(faithTraits());
  expect(all).toHaveLength(1 + 4 * 2 * 3);
  expect(all[2]).toEqual(["counterfactual", "edge", "differing", "0.05", "-0.05", "0.15", "-0.01"]);
  expect(all[7]).toEqual(["mean", "edge", "all", "", "", "", ""]);
});

test("before a run it says what happens", async () => {
  const { el, model } = await showCircuit(circuitTraits({ tab: "faithfulness", status: "running" }));
  expect(part(el, "nothing").textContent).toBe("Running the circuit\u2026");
  model.set("status", "done");
  await settled();
  expect(part(el, "nothing").textContent).toBe("Running the circuit\u2026");
  await eventually(() => expect(part(el, "nothing").textContent).toBe("Not run yet: press Run."));
  model.set("error", { message: "This ablation takes several prompts." });
  await settled();
  expect(part(el, "error").textContent).toContain("several prompts");
});

test("numbers of an unknown format are refused with a sentence", async () => {
  const { el } = await showCircuit(faithTraits({ robustness: makeRobustness({ schema_version: 3 }) }));
  expect(part(el, "error").textContent).toContain("format 3");
});

test("a saved page has the numbers and the curves, and no buttons in the table", async () => {
  const { el } = await circuitWithoutKernel(curveTraits());
  expect(table(el).querySelector("button")).toBeNull();
  expect(table(el).querySelector('[data-chosen="true"]')?.textContent).toBe("0%");
  expect(table(el).querySelector("span")?.title).not.toContain("Click");
  expect(part(el, "areas").textContent).toContain("CMD");
  expect(maybe(el, "run")).toBeNull();
});

test("a page that was saved without runs says so", async () => {
  const { el } = await circuitWithoutKernel(circuitTraits({ tab: "faithfulness" }));
  expect(part(el, "nothing").textContent).toContain("The circuit was not run here");
  const bare = await circuitWithoutKernel(faithTraits());
  expect(maybe(bare.el, "no-curves")).toBeNull();
});
