// Effects or raw values in the cells, and a colour range that can be fixed.
import { expect, test } from "vitest";
import { domainOf, legendTicks, lookOf, cellText as numbersOf } from "../../js/panels/patch_heatmap/cells";
import { toTable } from "../../js/panels/patch_heatmap/export";
import { decodeResult } from "../../js/panels/patch_heatmap/result";
import { arrayJson, maybe, part, settled } from "./helpers";
import { cellText, choose, show, withoutKernel } from "./shown_heatmap";
import { makeSweep } from "./sweeps";

/** Ranks: 3 in the clean run, 1003 in the corrupt one. */
function makeRanks() {
  const result = makeSweep(["layer", "position"], [3, 6], (_, i) => (i === 17 ? -2.38 : i / 10));
  result.params.metric = "rank";
  result.baselines = { clean: 3, corrupt: 1003 };
  const ranks = Array.from({ length: 18 }, (_, i) => 1003 - 1000 * (i === 17 ? -2.38 : i / 10));
  return { ...result, values: arrayJson("float32", [3, 6], ranks) };
}

test("cells show the metric's own values on request, in the same colours", async () => {
  const { el, model } = await show({ result: makeRanks() });
  expect(cellText(el, 17)).toContain("recovers \u22122.38");
  choose(el, "units", 1);
  expect(model.get("units")).toBe("raw");
  await settled();
  expect(cellText(el, 17)).toMatch(/, 3383.00$/);
  expect(part(el, "legend").textContent).toContain("3 clean");
  expect(part(el, "legend").textContent).toContain("1003 corrupt");
  const sweep = decodeResult(makeRanks());
  expect(numbersOf(sweep, lookOf(sweep, "raw"))(17)).toBe("3383");
  expect(toTable(sweep, true, true).split("\n")[1]?.split("\t").at(-1)).toBe("3383");
});

test("the colour range can be fixed, in the view or from Python, and freed again", async () => {
  const { el, model } = await withoutKernel({ result: makeRanks() });
  const field = part<HTMLInputElement>(el, "color-limit");
  const type = (text: string) => {
    field.value = text;
    field.dispatchEvent(new Event("change", { bubbles: true }));
  };
  type("0.5");
  expect(model.get("color_limit")).toBe(0.5);
  await settled();
  expect(part(el, "legend").textContent).toContain("\u2265 0.50");
  model.set("color_limit", null);
  await settled();
  expect(part(el, "legend").textContent).not.toContain("0.50");
});

test("a colour range that is no number above 0 is refused", async () => {
  const { el, model } = await withoutKernel({ result: makeRanks() });
  const field = part<HTMLInputElement>(el, "color-limit");
  field.value = "-1";
  field.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
  expect(part(el, "complaint").textContent).toContain("number above 0");
  expect(model.get("color_limit")).toBeUndefined();
});

test("the legend and the cells of small effects have the digits that they need", () => {
  const effects = (largest: number) =>
    decodeResult(makeSweep(["layer", "neuron"], [2, 3], (_, i) => (i === 1 ? -largest : largest / 3)));
  const texts = (largest: number) =>
    legendTicks(effects(largest), { raw: false, limit: null }).map(({ text }) => text);
  expect(texts(0.25)).toEqual(["0", "0.25", "\u22120.25"]);
  expect(texts(0.0004)).toEqual(["0", "0.00040", "\u22120.00040"]);
  expect(texts(4e-8)).toEqual(["0", "4.0e\u22128", "\u22124.0e\u22128"]);
  const sweep = effects(0.5);
  expect(domainOf(sweep, 0.02)).toEqual({ domain: 0.02, clipped: true });
});

test("without a scale there is no choice of colours that would mean anything, and values are raw", async () => {
  const nothing = arrayJson("float32", [3, 6], Array(18).fill(Number.NaN));
  const { el } = await show({ result: { ...makeRanks(), normalized: nothing } });
  expect(maybe(el, "legend")).toBeNull();
  expect(cellText(el, 0)).toMatch(/, 1003.00$/);
});
