import { expect, test } from "vitest";
import { colorsOf } from "../../../js/panels/attention_viewer/colors";
import { drawCodes } from "../../../js/panels/attention_viewer/pixels";
import {
  alongAt,
  cellsOf,
  codesOf,
  fewerCodes,
  MASKED,
  NOT_A_NUMBER,
  Scaling,
} from "../../../js/panels/attention_viewer/scale";
import { PALETTE } from "../palette";

const INF = Number.POSITIVE_INFINITY;
const unsigned = (name: "linear" | "log" | "row" | "head", high = 1) =>
  new Scaling(name, { high, signed: false });
const signed = (name: "linear" | "log" | "row", high = 1, low?: number) =>
  new Scaling(name, { high, low, signed: true });

test.each([
  [unsigned("linear"), 0.5, 125],
  [unsigned("linear"), 2, 250],
  [unsigned("linear", 4), 1, 63],
  [unsigned("log"), 1, 250],
  [unsigned("log"), 0.01, 125],
  [unsigned("log"), 1e-4, 0],
  [unsigned("log"), 1e-9, 0],
  [unsigned("log"), 0, 0],
  [signed("linear"), 0, 125],
  [signed("linear"), -1, 0],
  [signed("linear"), 0.5, 188],
  [signed("log"), -0.01, 63],
  [signed("linear", 2, -0.5), -0.5, 0],
  [signed("linear", 2, -0.5), 1, 188],
] as const)("%o puts %d at code %d", (scaling, value, code) => {
  expect(scaling.codeOfValue(value, 1)).toBe(code);
});

test("what is masked and what is no number have codes of their own", () => {
  expect(unsigned("linear").codeOfValue(INF, 1)).toBe(MASKED);
  expect(unsigned("linear").codeOfValue(Number.NaN, 1)).toBe(NOT_A_NUMBER);
});

test("by row each row's largest finite entry is the end", () => {
  const values = Float32Array.from([0.1, INF, INF, 0.2, 0.4, INF, 0, Number.NaN, 0]);
  expect([...codesOf(values, 3, 3, unsigned("row"))]).toEqual([250, 255, 255, 125, 250, 255, 0, 254, 0]);
});

test("a cell of fewer shows the strongest of its entries, and is masked only where all are", () => {
  const values = new Float32Array(16).fill(INF);
  values.set([0.2, 0.9], 4); // row 1
  values.set([Number.NaN, 0.1], 8); // row 2
  values.set([0.3, 0.2, 0.4], 12); // row 3
  expect([...codesOf(values, 4, 2, unsigned("linear"))]).toEqual([225, 255, 75, 100]);
});

test("of signed entries the one farthest from zero is shown", () => {
  const values = Float32Array.from([0.2, -0.8, 0.5, 0.1]);
  expect([...codesOf(values, 2, 1, signed("linear"))]).toEqual([25]);
});

test("a cell is hatched only where it has no number at all", () => {
  const values = Float32Array.from([Number.NaN, INF, Number.NaN, INF]);
  expect([...codesOf(values, 2, 1, unsigned("linear"))]).toEqual([NOT_A_NUMBER]);
});

test("by head the head's largest finite entry is the end", () => {
  const values = new Float32Array([0.4, Number.POSITIVE_INFINITY, 0.2, 0.8]);
  expect([...codesOf(values, 2, 2, unsigned("head"))]).toEqual([125, 255, 63, 250]);
});

test("without the first source it has no colour, and the others are compared with each other", () => {
  const values = new Float32Array([1, Number.POSITIVE_INFINITY, 0.8, 0.2]);
  const without = (name: "linear" | "row") => new Scaling(name, { high: 1, signed: false }, true);
  expect([...codesOf(values, 2, 2, without("linear"))]).toEqual([255, 255, 255, 50]);
  expect([...codesOf(values, 2, 2, without("row"))]).toEqual([255, 255, 255, 250]);
});

test("cells share rows as Python does: from floor(i n / size) on", () => {
  expect([...cellsOf(7, 3)]).toEqual([0, 0, 1, 1, 2, 2, 2]);
  expect([...cellsOf(3, 3)]).toEqual([0, 1, 2]);
});

test("codes in fewer cells are the same as pooling the values at once", () => {
  const n = 12;
  const values = Float32Array.from({ length: n * n }, (_, i) => (i % 5 === 0 ? INF : Math.sin(i * 7) / 2));
  for (const scaling of [signed("linear"), unsigned("linear")]) {
    const sized = scaling.signed ? values : values.map(Math.abs);
    const direct = codesOf(sized, n, 3, scaling);
    const fewer = fewerCodes(codesOf(sized, n, 6, scaling), 6, 3, scaling.signed);
    // Two that are as strong once they are rounded may have other signs.
    const size = (code: number) => Math.abs(alongAt(code, scaling.signed));
    expect([...fewer].map(size)).toEqual([...direct].map(size));
  }
});

test("colours run from the ground to blue, of signed values from orange over the ground", () => {
  expect(colorsOf(PALETTE, false, null).fill(250)).toBe("rgb(22,103,183)");
  expect(colorsOf(PALETTE, false, null).fill(0)).toBe("rgb(244,244,244)");
  expect(colorsOf(PALETTE, true, null).fill(0)).toBe("rgb(181,84,14)");
  expect(colorsOf(PALETTE, true, null).fill(125)).toBe("rgb(244,244,244)");
  expect(alongAt(0, true)).toBe(-1);
});

test("colours may be given", () => {
  const colors = colorsOf(PALETTE, true, { positive: "rgb(1,2,3)", negative: "#040506" });
  expect([colors.fill(250), colors.fill(0)]).toEqual(["rgb(1,2,3)", "rgb(4,5,6)"]);
});

test("pixels: cells in place, gaps and masked cells clear", () => {
  const picture = { pixels: new Uint32Array(6 * 5), width: 6, height: 5 };
  const colors = colorsOf(PALETTE, false, null);
  drawCodes(picture, { left: 2, top: 1, side: 4, gap: 1 }, Uint8Array.from([250, 255, 0, 250]), 0, 2, colors);
  const [full, zero] = [colors.pixels[250], colors.pixels[0]];
  const rows = Array.from({ length: 5 }, (_, y) => [...picture.pixels.subarray(y * 6, y * 6 + 6)]);
  expect(rows).toEqual([
    [0, 0, 0, 0, 0, 0],
    [0, 0, full, 0, 0, 0],
    [0, 0, 0, 0, 0, 0],
    [0, 0, zero, 0, full, 0],
    [0, 0, 0, 0, 0, 0],
  ]);
});
