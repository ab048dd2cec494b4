// The columns before the first difference, which a strip stands for.
import { expect, test } from "vitest";
import { boardOf, foldable } from "../../js/panels/patch_heatmap/board";
import { decodeResult, type ResultJson } from "../../js/panels/patch_heatmap/result";
import { arrayJson, maybe, part, settled } from "./helpers";
import { cellText, clickCell, show } from "./shown_heatmap";
import { makePairs, makeSweep, numbers } from "./sweeps";

/** 2 layers by 14 positions, the first `equal` of which are equal in both prompts. */
function makeLong(equal: number, columns = 14): ResultJson {
  const state = Array.from({ length: 2 * columns }, (_, i) => (i % columns < equal ? 2 : 1));
  const tokens = numbers(columns).map((n) => ` t${n}`);
  const result = makeSweep(["layer", "position"], [2, columns]);
  result.state = arrayJson("uint8", [2, columns], state);
  result.labels.position = tokens;
  for (const [run, prompt] of Object.entries(result.prompts))
    prompt.tokens = tokens.map((text, i) => (i === equal ? ` ${run}` : text));
  return result;
}

test("columns before the first difference are one strip, and the last two of them stay", async () => {
  const { el, model } = await show({ result: makeLong(11) });
  expect(part(el, "grid").getAttribute("aria-colcount")).toBe("5");
  expect(cellText(el, 0)).toBe("layer 0, position 9 ' t9', clean and corrupt are equal");
  expect(cellText(el, 2)).toBe("layer 0, position 11 ' clean' / ' corrupt', recovers 0.11");
  expect(part(el, "folded").title).toContain("positions 0 to 8: clean and corrupt are equal");
  expect(part(el, "fold-line").textContent).toContain("9 columns are folded");
  clickCell(el, 5 + 2);
  expect(model.get("selection")).toMatchObject({ layer: 1, position: 11 });
});

test.each(["folded", "fold"])("%s unfolds them, and the button folds them again", async (name) => {
  const { el } = await show({ result: makeLong(11) });
  part(el, name).click();
  await settled();
  expect(part(el, "grid").getAttribute("aria-colcount")).toBe("14");
  expect(maybe(el, "folded")).toBeNull();
  part(el, "fold").click();
  await settled();
  expect(part(el, "grid").getAttribute("aria-colcount")).toBe("5");
});

test("a place that is pinned in a folded column outlines the strip", async () => {
  const { el, model } = await show({ result: makeLong(11), selection: { layer: 0, position: 3 } });
  expect(part(el, "folded").dataset.pinned).toBe("true");
  expect(part(el, "detail-cell").textContent).toContain("clean and corrupt are equal");
  model.set("selection", { layer: 0, position: 12 });
  await settled();
  expect(part(el, "folded").dataset.pinned).toBe("false");
  expect(part(el, "pin").dataset.cell).toBe("3");
});

test("a few equal columns, and a map in which all are equal, stay as they are", () => {
  expect(foldable(decodeResult(makeLong(7)))).toBe(0);
  expect(foldable(decodeResult(makeLong(14)))).toBe(0);
  const one = makeLong(11);
  one.state = arrayJson("uint8", [2, 14], Array(28).fill(2).fill(1, 17, 18));
  expect(foldable(decodeResult(one))).toBe(0); // layer 1 differs at position 3
});

test("while pairs are added to a mean, nothing is folded", () => {
  const pairs = { ...makePairs(), state: arrayJson("uint8", [3, 6], Array(18).fill(2).fill(1, 17)) };
  expect(foldable(decodeResult(pairs))).toBe(0);
});

test("small multiples fold every equal column", () => {
  const result = makeSweep(["layer", "head", "position"], [3, 2, 6]);
  const state = numbers(36).map((i) => (Number(i) % 6 < 4 ? 2 : 1));
  result.state = arrayJson("uint8", [3, 2, 6], state);
  const sweep = decodeResult(result);
  expect(foldable(sweep)).toBe(4);
  const board = boardOf(sweep, true, 20, 4);
  expect(board.columns.map(({ title }) => title.slice(0, 10))).toEqual(["position 4", "position 5"]);
  expect(board.cells?.slice(0, 4)).toEqual([4, 5, 10, 11]);
});
