// Cells that are estimated before they are run: hatched, said, compared with the exact effects, and run on a click.
import { expect, test } from "vitest";

import { boardOf } from "../../js/panels/patch_heatmap/board";
import { lookOf, painter } from "../../js/panels/patch_heatmap/cells";
import { toTable } from "../../js/panels/patch_heatmap/export";
import { applyPartial, decodeResult, type ResultJson } from "../../js/panels/patch_heatmap/result";
import { cellAt, chartOf, comparedCells, furthest, pathOf } from "../../js/panels/patch_heatmap/scatter";
import { describeCell } from "../../js/panels/patch_heatmap/words";
import { arrayJson, CELLS, makePartial, makeResult, maybe, part, settled } from "./helpers";
import { PALETTE } from "./palette";
import { choose, show, withoutKernel } from "./shown_heatmap";
import { makePairs } from "./sweeps";

const SHAPE = [3, 6];
const cells = Array.from({ length: CELLS }, (_, i) => i);
const AGREEMENT = { cells: 2, pearson: null, spearman: null, k: 1, precision: 1, recall: null };

/** Columns 4 and 5 were estimated, at half of their effect; cells 16 and 17 have been run as well. */
function estimated(change: Partial<ResultJson> = {}): ResultJson {
  const state = cells.map((i) => (i % 6 < 4 ? 2 : i >= 16 ? 1 : 4));
  const result = makeResult({
    state: arrayJson("uint8", SHAPE, state),
    normalized_estimates: arrayJson(
      "float32",
      SHAPE,
      cells.map((i) => i / 20),
    ),
    agreement: AGREEMENT,
  });
  return { ...result, params: { ...result.params, estimate: "gradient", exact: 0.3 }, ...change };
}

const FIELD = {
  name: "estimate",
  label: "estimate",
  help: "",
  type: "choice",
  choices: ["none", "gradient", "relp"].map((name) => ({ name, label: name, help: "" })),
  least: null,
  most: null,
  default: "gradient",
  optional: false,
  applies: null,
};

async function shown(traits: Record<string, unknown> = {}) {
  const mounted = await show({ result: estimated(), ...traits });
  const info = mounted.model.get("info") as object;
  mounted.model.set("info", { ...info, fields: [FIELD] });
  await settled();
  return mounted;
}

test("an estimate is hatched, an exact effect is not", () => {
  const sweep = decodeResult(estimated());
  const paint = painter(sweep, boardOf(sweep, true, 20, 0), PALETTE, lookOf(sweep));
  expect(paint(4)).toMatchObject({ mark: "hatch", text: "0.40" });
  expect(paint(17)).toMatchObject({ mark: null });
  expect(paint(0)).toMatchObject({ mark: null, text: "=" });
});

test("words say what is estimated, and beside an exact effect what was", () => {
  const sweep = decodeResult(estimated());
  expect(describeCell(sweep, false, 4)).toContain("recovers 0.40, estimated from gradients, not run");
  expect(describeCell(sweep, false, 16)).toContain("recovers 1.60, the estimated effect was 0.80");
  expect(describeCell(decodeResult(makeResult()), false, 16)).not.toContain("estimate");
});

test("a table has the estimates too", () => {
  expect(toTable(decodeResult(estimated()), false, false)).toContain("0.4");
});

test("a metric without estimates leaves the cells empty that were not run", () => {
  const values = arrayJson(
    "float32",
    SHAPE,
    cells.map((i) => (i < 16 ? Number.NaN : i)),
  );
  const sweep = decodeResult(estimated({ values, normalized: values, normalized_estimates: null }));
  expect(describeCell(sweep, false, 4)).toContain("not computed yet");
});

test("cells that arrive replace their estimates, which stay to be compared", () => {
  const sweep = decodeResult(estimated());
  applyPartial(sweep, { ...makePartial([4], [0.9]), agreement: { ...AGREEMENT, cells: 3 } });
  expect([sweep.state[4], sweep.agreement?.cells]).toEqual([1, 3]);
  expect(sweep.normalized[4]).toBeCloseTo(0.9);
  expect(comparedCells(sweep)).toEqual([4, 16, 17]);
});

test("points of good estimates are on the diagonal, and the nearest is found", () => {
  const sweep = decodeResult(estimated());
  const chart = chartOf(sweep, 200);
  expect(chart.reach).toBeCloseTo(1.7);
  expect(chart.x(0.5) + chart.y(0.5)).toBeCloseTo(200);
  expect(pathOf(sweep, chart).split("M")).toHaveLength(3);
  expect(cellAt(sweep, chart, chart.x(0.85), chart.y(1.7) + 3)).toBe(17);
  expect(cellAt(sweep, chart, 5, 195)).toBeNull();
  expect(furthest(sweep, chart.cells, 1)).toEqual([17]);
});

test("a stopped sweep says what is exact and runs the rest on a click", async () => {
  const { el, sent } = await shown({ status: "done" });
  expect(part(el, "estimated").textContent).toContain("2 cells are exact; hatched: 4 estimated");
  part(el, "exact-all").click();
  expect(sent.at(-1)).toMatchObject({ method: "activation_patching", params: { exact: 1 } });
});

test("a running sweep says what will happen, and offers nothing else", async () => {
  const progress = { done: 2, total: 6, seconds_left: 500 };
  const { el } = await shown({ status: "running", progress });
  expect(part(el, "estimated").textContent).toContain("Exact values replace them, the largest first.");
  expect(maybe(el, "exact-all")).toBeNull();
  expect(maybe(el, "time-left")).toBeNull(); // it ends by itself before long
});

test("an unscaled or cancelled sweep without exact cells does not promise any", async () => {
  const state = arrayJson("uint8", SHAPE, Array(CELLS).fill(4));
  const { el } = await shown({ result: { ...estimated(), state }, status: "cancelled" });
  expect(part(el, "estimated").textContent).toContain("0 cells are exact; hatched: 18 estimated");
  expect(part(el, "exact-all")).toBeTruthy();
});

test("a map of estimates alone says so", async () => {
  const state = arrayJson("uint8", SHAPE, Array(CELLS).fill(4));
  const { el } = await shown({ result: makeResult({ state }), status: "done" });
  expect(part(el, "estimated").textContent).toBe("Hatched: estimated from gradients, not run. ");
  expect(maybe(el, "estimate-check")).toBeNull();
});

test("a point is a place: a click or Enter pins its cell", async () => {
  const { el, model } = await shown({ status: "done" });
  const scatter = part(el, "scatter");
  expect(scatter.dataset.points).toBe("2");
  const press = (key: string) => scatter.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  press("ArrowRight");
  await settled();
  expect(part(el, "scatter-cell").textContent).toContain("layer 2, position 4");
  expect(part(el, "scatter-cell").textContent).toContain("estimate 0.80, exact 1.60");
  press("Enter");
  await settled();
  expect(model.get("selection")).toMatchObject({ layer: 2, position: 4 });
  const chart = chartOf(decodeResult(estimated()), 216);
  const at = { clientX: chart.x(0.85), clientY: chart.y(1.7), bubbles: true };
  scatter.dispatchEvent(new MouseEvent("click", at));
  await settled();
  expect(model.get("selection")).toMatchObject({ layer: 2, position: 5 });
});

test("the cells that are furthest off are listed, and can be pinned", async () => {
  const { el, model } = await shown({ status: "done" });
  const first = part(el, "furthest").querySelector("button");
  expect(first?.textContent).toContain("position 5 ' is': estimate 0.85, exact 1.70");
  first?.click();
  await settled();
  expect(model.get("selection")).toMatchObject({ layer: 2, position: 5 });
});

test("numbers that are not known yet are dashes, and another rule is asked for", async () => {
  const { el, sent } = await shown({ status: "done" });
  expect(part(el, "agreement").textContent).toBe(
    "Pearson\u2013Spearman\u2013precision at 1100%recall at 1\u2013",
  );
  choose(el, "estimate-rule", 1);
  expect(sent.at(-1)).toMatchObject({ method: "activation_patching", params: { estimate: "relp" } });
});

/** A mean over pairs: cells 15 to 17 were run in all of them, the others are means of estimates. */
function estimatedPairs(): ResultJson {
  const result = makePairs();
  const pairs = result.pairs && { ...result.pairs, done: result.pairs.labels.length };
  const state = cells.map((i) => (i >= 15 ? 1 : 4));
  const estimates = cells.map((i) => i / 20);
  return {
    ...result,
    pairs,
    params: { ...result.params, estimate: "gradient" },
    state: arrayJson("uint8", SHAPE, state),
    normalized_estimates: arrayJson("float32", SHAPE, estimates),
    agreement: { ...AGREEMENT, cells: 3, pearson: 1, spearman: 1 },
  };
}

test("of a data set, mean estimates are hatched and exact means are not", () => {
  const sweep = decodeResult(estimatedPairs());
  const paint = painter(sweep, boardOf(sweep, true, 20, 0), PALETTE, lookOf(sweep));
  expect([4, 14, 15, 17].map((cell) => paint(cell)?.mark)).toEqual(["hatch", "hatch", null, null]);
  expect(describeCell(sweep, false, 14)).toMatch(
    /recovers 1\.41, estimated from gradients, not run, 95% interval/,
  );
  expect(describeCell(sweep, false, 16)).toContain("the estimated effect was 0.80, 95% interval");
});

test("of a data set, the chart has the cells that were run, and a click runs the others", async () => {
  const { el, sent } = await shown({ result: estimatedPairs(), status: "done" });
  expect(part(el, "estimated").textContent).toContain("3 cells are exact; hatched: 15 estimated");
  expect(part(el, "scatter").dataset.points).toBe("3");
  expect(part(el, "agreement").textContent).toContain("Pearson1.00Spearman1.00");
  expect(part(el, "subtitle").textContent).toContain("mean of 4 pairs");
  part(el, "exact-all").click();
  expect(sent.at(-1)).toMatchObject({ method: "activation_patching", params: { exact: 1 } });
});

test("the time left of a data set that is run to its end is that of its runs, or of its pairs", async () => {
  const running = {
    options: { exact: 1 },
    status: "running",
    progress: { done: 20, total: 90, seconds_left: 500 },
  };
  const { el } = await shown({ result: estimatedPairs(), ...running });
  expect(part(el, "time-left").textContent).toContain("at the speed of the runs so far");
  const plain = await shown({ result: makePairs(), ...running });
  expect(part(plain.el, "time-left").textContent).toContain("at the speed of the pairs so far");
});

test("a saved page shows the comparison without controls", async () => {
  const { el } = await withoutKernel({ result: estimated(), status: "done" });
  expect(part(el, "estimate-check")).toBeTruthy();
  expect(maybe(el, "estimate-rule")).toBeNull();
  expect(maybe(el, "exact-all")).toBeNull();
});
