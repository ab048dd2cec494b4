// A kept map, and the shown map minus it, as Python sends them.
import { expect, test } from "vitest";
import { domainOf, legendTicks, lookOf } from "../../js/panels/patch_heatmap/cells";
import { allCells } from "../../js/panels/patch_heatmap/export";
import { decodeResult, type ResultJson } from "../../js/panels/patch_heatmap/result";
import { captionOf } from "../../js/panels/patch_heatmap/words";
import { arrayJson, maybe, part, settled } from "./helpers";
import { cellText, choose, clickCell, show, withoutKernel } from "./shown_heatmap";
import { makeSweep, withProbability } from "./sweeps";

const SHAPE = [3, 6];
const SIZE = 18;
const fill = (value: (i: number) => number) => Array.from({ length: SIZE }, (_, i) => value(i));
const floats = (value: (i: number) => number) => arrayJson("float32", SHAPE, fill(value));

const map = () => makeSweep(["layer", "position"], SHAPE, (_, i) => i / 20);
const keptMap = () => {
  const kept = makeSweep(["layer", "position"], SHAPE, () => 0.43, { id: "kept" });
  return { ...kept, params: { ...kept.params, activation: "attn_out" } };
};

/** Cell i: i / 20 − 0.43 of effect, i − 2 of the raw metric; cell 0 is unchanged, 1 an estimate, 2 without a counterpart. */
function makeDifference(change: Partial<ResultJson> = {}): ResultJson {
  const [first, second] = [(i: number) => i / 20, () => 0.43];
  const term = (name: string, effects: (i: number) => number, values: (i: number) => number) => ({
    name,
    effects: floats(effects),
    values: floats(values),
    metric_label: "logit difference",
  });
  return makeSweep(["layer", "position"], SHAPE, (_, i) => first(i) - second(), {
    id: "",
    method: "difference",
    values: floats((i) => i - 2),
    state: arrayJson(
      "uint8",
      SHAPE,
      fill((i) => [2, 4, 3][i] ?? 1),
    ),
    baselines: { clean: null, corrupt: null },
    top_runs: {},
    metric_label: "difference in logit difference",
    scale_text: "0 is no difference",
    headline: "z \u2212 attn_out",
    terms: [term("z", first, (i) => i), term("attn_out", second, () => 2)],
    ...change,
  });
}

const traits = (change: Record<string, unknown> = {}) => ({
  result: map(),
  kept: keptMap(),
  difference: makeDifference(),
  difference_code: "result = results[0].minus(results[1])",
  why_no_difference: "",
  shows: "map",
  ...change,
});

test("Keep asks for the shown map to be kept, and without a kernel there is none", async () => {
  const { el, sent } = await show();
  expect(maybe(el, "compare")).toBeNull();
  part(el, "keep").click();
  expect(sent.at(-1)).toMatchObject({ method: "keep", params: {} });
  const page = await withoutKernel(traits());
  expect(maybe(page.el, "keep")).toBeNull();
  expect(maybe(page.el, "drop-kept")).toBeNull();
});

test("a saved page shows the map, the kept one and their difference", async () => {
  const { el, model } = await withoutKernel(traits());
  expect(cellText(el, 10)).toContain("recovers 0.50");
  expect(part(el, "kept-words").textContent).toContain("attn_out");
  choose(el, "shows", 1);
  await settled();
  expect(model.get("shows")).toBe("kept");
  expect(cellText(el, 10)).toContain("recovers 0.43");
  choose(el, "shows", 2);
  await settled();
  expect(cellText(el, 10)).toMatch(/, 0\.50 \u2212 0\.43 = \+0\.07$/);
  expect(part(el, "subtitle").textContent).toContain("this map minus the kept map; blue");
});

test("a difference can be hovered and pinned, and shows its three numbers and the raw ones", async () => {
  const { el, model } = await show(traits({ shows: "difference" }));
  clickCell(el, 4);
  await settled();
  expect(model.get("selection")).toMatchObject({ layer: 0, position: 4 });
  const words = part(el, "detail-cell").textContent;
  expect(words).toContain("0.20 \u2212 0.43 = \u22120.23");
  expect(words).toContain("logit difference 4.00 \u2212 2.00 = +2.00");
  expect(maybe(el, "top-clean")).toBeNull();
  expect(maybe(el, "open")).toBeNull();
});

test("cells of a difference say why they have no number, or that one is an estimate", async () => {
  const { el } = await show(traits({ shows: "difference" }));
  expect(cellText(el, 0)).toContain("clean and corrupt are equal in both maps");
  expect(cellText(el, 1)).toContain(
    "0.05 \u2212 0.43 = \u22120.38, estimated from gradients in one of the two",
  );
  expect(cellText(el, 2)).toContain("one of the two maps has nothing to patch here");
});

test("a difference without a raw value keeps its effects and its estimates under raw values", async () => {
  const difference = makeDifference({ values: floats(() => Number.NaN) });
  if (difference.terms) difference.terms[1].metric_label = "probability";
  const { el } = await show(traits({ difference, shows: "difference", units: "raw" }));
  expect(cellText(el, 1)).toContain("0.05 \u2212 0.43 = \u22120.38, estimated");
  clickCell(el, 4);
  await settled();
  expect(part(el, "detail-cell").textContent).toContain("logit difference 4.00, probability 2.00");
});

test("under raw values the raw ones are subtracted, and the colours stay those of the effects", async () => {
  const { el } = await show(traits({ shows: "difference", units: "raw" }));
  expect(cellText(el, 4)).toMatch(/, 4\.00 \u2212 2\.00 = \+2\.00$/);
  expect(part(el, "raw-difference").textContent).toContain("those of the effects");
  const without = makeDifference({ normalized: floats(() => Number.NaN), scale_text: "" });
  const other = await show(traits({ difference: without, shows: "difference" }));
  expect(part(other.el, "raw-difference").textContent).toContain("no scale from 0 to 1");
  expect(maybe(other.el, "legend")).toBeNull();
  expect(part(other.el, "subtitle").textContent).not.toContain("blue");
});

test("the colours reach to the largest difference", () => {
  const sweep = decodeResult(makeDifference());
  expect(domainOf(sweep)).toEqual({ domain: expect.closeTo(0.43), clipped: false });
  expect(domainOf(sweep, 0.2)).toEqual({ domain: 0.2, clipped: true });
  for (const units of ["normalized", "raw"] as const)
    expect(legendTicks(sweep, lookOf(sweep, units)).map(({ text }) => text)).toEqual([
      "0",
      "0.43",
      "\u22120.43",
    ]);
  const same = decodeResult(makeDifference({ normalized: floats(() => 0) }));
  expect(domainOf(same).domain).toBe(0.1);
});

test("a difference that can't be made says why in its menu, and beside it if it was chosen", async () => {
  const why = "One map is by layer and head and the other by layer and position.";
  const { el } = await show(traits({ difference: null, why_no_difference: why, shows: "difference" }));
  const entry = [...part<HTMLSelectElement>(el, "shows").options][2];
  expect(entry?.disabled).toBe(true);
  expect(entry?.textContent).toContain(why);
  expect(part(el, "no-difference").textContent).toContain(why);
  expect(cellText(el, 10)).toContain("recovers 0.50");
});

test("on a saved page another metric has no difference", async () => {
  const { el } = await withoutKernel(traits({ result: withProbability(map()), shows: "difference" }));
  expect(cellText(el, 10)).toContain(" = +0.07");
  choose(el, "metric", 1);
  await settled();
  expect(part(el, "no-difference").textContent).toContain("was saved for the metric logit difference");
  expect(cellText(el, 10)).toContain("recovers 0.25");
});

test("the code and the table are of what is shown", async () => {
  const { el } = await show(traits({ code: "result = ib.activation_patching(model, pair)" }));
  expect(maybe(el, "copy-code")).not.toBeNull();
  choose(el, "shows", 1);
  await settled();
  expect(maybe(el, "copy-code")).toBeNull();
  choose(el, "shows", 2);
  await settled();
  expect(maybe(el, "copy-code")).not.toBeNull();
  const [names, , , , , sixth] = allCells(decodeResult(makeDifference()));
  expect(names).toEqual(["layer", "position", "token", "value", "normalized", "first", "second", "state"]);
  expect(sixth?.slice(3).map((text) => Number(text) || text)).toEqual([
    2,
    expect.closeTo(-0.23),
    expect.closeTo(0.2),
    expect.closeTo(0.43),
    "computed",
  ]);
});

test("a picture of a difference names both maps, and the prompts only if both have the same", () => {
  const caption = (...pairs: string[]) => {
    const difference = makeDifference();
    difference.terms?.forEach((term, i) => {
      term.params = { pair: { clean: pairs[i] } };
    });
    return captionOf(decodeResult(difference));
  };
  expect(caption("a", "b")).toEqual(["z \u2212 attn_out"]);
  expect(caption("a", "a").join()).toMatch(/^z \u2212 attn_out,.*The capital of Norway is.*clean/);
});

test("the kept map has nothing to ask for, and a place that the map lacks is not pinned in it", async () => {
  const heads = makeSweep(["layer", "head"], [3, 4], (_, i) => i / 10);
  const { el, model } = await show(
    traits({ kept: heads, difference: null, why_no_difference: "No.", shows: "kept" }),
  );
  clickCell(el, 5);
  await settled();
  expect(model.get("selection") ?? null).toBeNull();
  expect(maybe(el, "open")).toBeNull();
  expect(maybe(el, "picks")).toBeNull();
});
