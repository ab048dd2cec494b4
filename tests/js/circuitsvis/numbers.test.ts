import fc from "fast-check";
import { expect, test } from "vitest";
import type { Rgb } from "../../../js/lib/color";
import { decodeNumbers, exact, extremesOf, plainNumber } from "../../../js/panels/circuitsvis/figure";
import { makeShade, shareOf } from "../../../js/panels/circuitsvis/shade";
import { doubles, floats } from "./figures";

test("float32 is written as the shortest decimal that is no other float32", () => {
  const values = decodeNumbers(floats([4], [0.1, -1e-7, 16777216, 1 / 3]));
  expect([0, 1, 2, 3].map((i) => plainNumber(values, i))).toEqual(["0.1", "-1e-7", "16777216", "0.33333334"]);
  fc.assert(
    fc.property(fc.float({ noNaN: true }), (value) => {
      const [shown] = [plainNumber(new Float32Array([value]), 0)];
      expect(Math.fround(Number(shown))).toBe(value === 0 ? Number(shown) : value);
    }),
  );
});

test("float64 comes and is written exactly", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true })), (list) => {
      const values = decodeNumbers(doubles(list));
      expect(list.map((_, i) => Number(plainNumber(values, i)) + 0)).toEqual(list.map((value) => value + 0));
    }),
  );
});

test("for people there are true minus signs, and words for what is no number", () => {
  const values = new Float64Array([-1e-7, Number.NaN, Number.NEGATIVE_INFINITY]);
  expect([0, 1, 2].map((i) => exact(values, i))).toEqual(["\u22121e\u22127", "no number", "\u2212\u221e"]);
});

test("extremes are of finite numbers", () => {
  expect(extremesOf([3, Number.NaN, -1, Number.POSITIVE_INFINITY])).toEqual({ low: -1, high: 3 });
  expect(extremesOf([Number.NaN])).toEqual({ low: 0, high: 0 });
});

test.each([
  [1, -2, 4, 0.25],
  [9, -2, 4, 1],
  [-1, -2, 4, -0.5],
  [-9, -2, 4, -1],
  [0, 0, 0, 0],
  [2, 1, 4, 0.5], // a least value above zero is no ground
  [1, -2, 0, 0],
  [1, -2, -1, 0],
  [-1, 0, 4, 0],
  [Number.POSITIVE_INFINITY, -1, 1, 1],
])("the share of %d between %d and %d is %d", (value, low, high, share) => {
  expect(shareOf(value, low, high)).toBe(share);
});

const PALETTE = { zero: [244, 244, 244], clean: [22, 103, 183], corrupt: [181, 84, 14], fg: [0, 0, 0] };

function shade(positive: string | null, negative: string | null) {
  type Ends = Record<keyof typeof PALETTE, Rgb>;
  const palette = { ...(PALETTE as unknown as Ends) } as Parameters<typeof makeShade>[0];
  return makeShade(palette, { low: -1, high: 1 }, { positive, negative });
}

test("given colours are those at the ends, and the theme's own where they are none", () => {
  expect(shade("#00aa88", "rgb(128, 0, 128)").fill(1)).toBe("rgb(0,170,136)");
  expect(shade("#00aa88", "rgb(128, 0, 128)").fill(-1)).toBe("rgb(128,0,128)");
  expect(shade(null, null).fill(1)).toBe("rgb(22,103,183)");
  const wrong = shade("blurple", null);
  expect(wrong.fill(1)).toBe("rgb(22,103,183)");
  expect(wrong.unknown).toEqual(["blurple"]);
});
