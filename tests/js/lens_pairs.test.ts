import { expect, test } from "vitest";
import { divergingScale } from "../../js/lib/color";
import { colorsOf, legendOf, scaleOf, shownValue } from "../../js/panels/logit_lens_grid/measures";
import { decodeLens } from "../../js/panels/logit_lens_grid/result";
import { type Shown, shownSide } from "../../js/panels/logit_lens_grid/sides";
import { maybe, part, settled } from "./helpers";
import { makeLens, makeLensPair, makeUnequalLens, OSLO, pairTraits, placeAt } from "./lenses";
import { PALETTE } from "./palette";
import { choose } from "./shown_heatmap";
import { cellWords, pinAt, showLens } from "./shown_lens";

const lensOf = (json = makeLensPair()) => {
  const lens = decodeLens(json);
  return { lens, shown: (name: "clean" | "corrupt" | "difference") => shownSide(lens, name) as Shown };
};

test("a pair has a menu of sides, which the view sets by itself; one prompt has none", async () => {
  const { el, model } = await showLens(pairTraits());
  expect(cellWords(el, 0)).toContain("' the' 0.00");
  choose(el, "side", 1);
  expect(model.get("side")).toBe("corrupt");
  await settled();
  expect(cellWords(el, 0)).toContain("' of' 0.02");
  expect(cellWords(el, 4)).toContain("position 4 ' Sweden'");
  expect(maybe(el, "prompt")).toBeNull();
});

test("a difference says both sides' likeliest tokens and how far they are apart", async () => {
  const { el } = await showLens(pairTraits({ side: "difference" }));
  expect(cellWords(el, 8)).toBe(
    "layer 0, position 2 ' capital', clean ' is' 0.12, corrupt ' capital' 0.14, probability differs by \u22120.02",
  );
  expect(part(el, "legend").textContent).toContain("+1 clean");
  expect(part(el, "subtitle").textContent).toContain("clean \u2212 corrupt");
  expect(part(el, "top-clean").textContent).toContain("\u2423is");
  expect(part(el, "top-corrupt")).not.toBeNull();
});

test("a column without a counterpart has no difference, and is said so", async () => {
  const { el } = await showLens(pairTraits({ side: "difference", result: makeUnequalLens() }));
  expect(cellWords(el, 8)).toBe("layer 0, position 2 ' capital', clean ' is' 0.12, no counterpart");
  expect(part(el, "note").textContent).toContain("Hatched");
  await pinAt(el, 1, 2);
  expect(maybe(el, "top-corrupt")).toBeNull();
  expect(part(el, "detail-cell").textContent).toContain("No token of the corrupt prompt corresponds");
});

test("positions correspond through the counterparts, both ways", () => {
  const { shown } = lensOf(makeUnequalLens());
  expect(shown("difference").partners).toEqual([0, 1, null, 4, 5, 6]);
  expect(shown("corrupt").partners).toEqual([0, 1, null, null, 3, 4, 5]);
});

test("the lines of a difference are both sides', the likeliest token of each and the followed ones", async () => {
  const { el } = await showLens(pairTraits({ side: "difference", selection: placeAt(1, 2) }));
  const names = [...part(el, "lines").querySelectorAll("tbody th")].map((name) => name.textContent);
  expect(names).toEqual([
    "\u2423is clean",
    "\u2423capital clean",
    "\u2423Oslo clean",
    "\u2423Stockholm clean",
    "\u2423is corrupt",
    "\u2423capital corrupt",
    "\u2423Oslo corrupt",
    "\u2423Stockholm corrupt",
  ]);
});

test("clean above corrupt is blue, in ranks too, where above is a smaller number", () => {
  const json = makeLensPair();
  const { lens, shown } = lensOf(json);
  const side = shown("difference");
  // Clean ranks the followed token first, corrupt a hundredth.
  side.first.target_rank.fill(0);
  side.second?.target_rank.fill(99);
  const scaled = scaleOf(lens, side, "rank", 0);
  expect(shownValue(side, scaled)(0, 0)).toBeCloseTo(2);
  expect(colorsOf(scaled, PALETTE).fill(2)).toEqual(divergingScale(PALETTE, 2).fill(2));
  expect(legendOf(lens, scaled, PALETTE).ticks.map(({ text }) => text)).toEqual([
    "equal",
    "100\u00d7",
    "100\u00d7",
  ]);
});

test("probabilities reach from 0 to 1, nats to the next whole or half, ranks to the largest", () => {
  const { lens } = lensOf(makeLens({ targets: [OSLO] }));
  const shown = shownSide(lens, "prompt") as Shown;
  const ends = (measure: Parameters<typeof scaleOf>[2]) => {
    const { low, high } = scaleOf(lens, shown, measure, 0);
    return [low, high];
  };
  expect(ends("probability")).toEqual([0, 1]);
  expect(ends("target")).toEqual([0, 1]);
  expect(ends("entropy")).toEqual([0, 3]);
  expect(ends("kl")).toEqual([0, 3]);
  expect(ends("rank")).toEqual([-3, 0]);
});

test("little entropy is strong, far from the end is strong", () => {
  const { lens } = lensOf(makeLens());
  const shown = shownSide(lens, "prompt") as Shown;
  const fill = (measure: "entropy" | "kl", value: number) =>
    colorsOf(scaleOf(lens, shown, measure, 0), PALETTE)
      .fill(value)
      .map(Math.round);
  expect(fill("entropy", 0)).toEqual(PALETTE.clean);
  expect(fill("entropy", 3)).toEqual(PALETTE.zero);
  expect(fill("kl", 0)).toEqual(PALETTE.zero);
  expect(fill("kl", 3)).toEqual(PALETTE.clean);
});
