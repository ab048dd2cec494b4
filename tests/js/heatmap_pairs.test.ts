import { expect, test } from "vitest";
import { boardOf } from "../../js/panels/patch_heatmap/board";
import { lookOf, painter } from "../../js/panels/patch_heatmap/cells";
import { decodeResult } from "../../js/panels/patch_heatmap/result";
import { arrayJson, maybe, part, press, settled } from "./helpers";
import { cellText, show } from "./shown_heatmap";
import { makePairs } from "./sweeps";

const PALETTE = {
  bg: [255, 255, 255],
  soft: [1, 1, 1],
  faint: [2, 2, 2],
  zero: [3, 3, 3],
  fg: [0, 0, 0],
  clean: [0, 0, 9],
  corrupt: [9, 0, 0],
};

test("the subtitle says of how many pairs this is the mean", async () => {
  const { el } = await show({ result: makePairs() });
  expect(part(el, "subtitle").textContent).toContain("mean of 3 of 4 pairs so far");
});

test("a cell whose interval has zero in it is faded, and that is said once", async () => {
  const sweep = decodeResult(makePairs());
  const paint = painter(sweep, boardOf(sweep, true, 20), PALETTE as never, lookOf(sweep));
  expect([0, 1, 2, 17].map((cell) => paint(cell)?.ink[0] === 2)).toEqual([true, true, false, false]);
  const { el } = await show({ result: makePairs() });
  expect(part(el, "faded-cells").textContent).toBe(
    "2 cells of 18 faded: the 95% interval of the mean contains zero.",
  );
  expect(cellText(el, 0)).toContain("recovers 0.01, 95% interval \u22120.14 to 0.16, contains zero");
  expect(cellText(el, 5)).toMatch(/recovers 0.51, 95% interval 0.36 to 0.66$/);
});

test("a pinned cell shows each pair that is done, from the least to the largest", async () => {
  const { el } = await show({ result: makePairs(), selection: { layer: 0, position: 5 } });
  expect(el.querySelectorAll("circle")).toHaveLength(3);
  const options = [...part(el, "strip").querySelectorAll('[role="option"]')].map(
    (option) => option.textContent,
  );
  expect(options).toEqual(["France / Italy: 0.50", "Japan / Norway: 0.51", "<b>Peru</b> / Chile: 0.52"]);
  expect(part(el, "detail-cell").textContent).toContain("2 of 3 pairs agree in sign");
  expect(maybe(el, "top-clean")).toBeNull();
});

test("pairs are named under the pointer and by the arrow keys", async () => {
  const { el } = await show({ result: makePairs(), selection: { layer: 0, position: 5 } });
  el.querySelectorAll("circle")[2]?.dispatchEvent(new PointerEvent("pointerenter"));
  await settled();
  expect(part(el, "pair").textContent).toBe("0.52 <b>Peru</b> / Chile");
  const strip = part(el, "strip");
  expect(press(strip, "Home").defaultPrevented).toBe(true);
  await settled();
  press(strip, "ArrowRight");
  await settled();
  expect(part(el, "pair").textContent).toBe("0.51 Japan / Norway");
  const named = strip.getAttribute("aria-activedescendant");
  expect(document.getElementById(named ?? "")?.textContent).toBe("Japan / Norway: 0.51");
});

test("tokens of the first pair stand for no other: columns are named as Python names them", async () => {
  const { el } = await show({ result: makePairs() });
  const label = el.querySelectorAll(".hs-panel-labels > div")[4];
  expect(label?.textContent).toBe("\u2423Sweden");
});

test("agreement is among the pairs that have the cell, and fewer than all are said so", async () => {
  const { el, model } = await show({ result: makePairs(), selection: { layer: 0, position: 0 } });
  const detail = () => part(el, "detail-cell").textContent;
  expect(detail()).toContain("2 of 2 pairs agree in sign");
  expect(detail()).toContain("mean of 2 pairs: the other pairs do not have this place");
  model.set("selection", { layer: 0, position: 5 });
  await settled();
  expect(detail()).toContain("2 of 3 pairs agree in sign");
  expect(detail()).not.toContain("no such place");
});

test("nothing is said of pairs before one is done", async () => {
  const result = makePairs();
  const nothing = arrayJson("float32", [3, 6], Array(18).fill(Number.NaN));
  const pairs = result.pairs && {
    ...result.pairs,
    known: arrayJson("int32", [3, 6], Array(18).fill(0)),
    done: 0,
  };
  const { el } = await show({
    result: { ...result, normalized: nothing, pairs },
    selection: { layer: 0, position: 5 },
  });
  expect(part(el, "detail-cell").textContent).not.toContain("agree");
});

test("the words at the ends of the strip stay inside it", async () => {
  const { el } = await show({ result: makePairs(), selection: { layer: 1, position: 4 } });
  // Effects of 1.00 to 1.02: the clean run stands near the right end, and not at it.
  const anchors = [...el.querySelectorAll(".hs-strip-tick text")].map((text) =>
    text.getAttribute("text-anchor"),
  );
  expect(anchors.sort()).toEqual(["end", "start"]);
});
