import { expect, test } from "vitest";
import { decimalsFor, fixed, metricValue, seconds, signed } from "../../js/lib/format";
import { progressText } from "../../js/lib/status";

test("negative numbers have a true minus, and nothing is minus zero", () => {
  expect(fixed(-0.834)).toBe("\u22120.83");
  expect(fixed(-0.001)).toBe("0.00");
  expect([fixed(9_999_999), fixed(-5.5976e29)]).toEqual(["9999999.00", "\u22125.60e29"]);
  expect(signed(1e30, 1e30)).toBe("+1.00e30");
  expect(signed(5.194)).toBe("+5.19");
  expect(signed(0)).toBe("0.00");
  expect(signed(-0.00123, 0.0456)).toBe("\u22120.001");
  expect(signed(0.0000123, 0.0000456)).toBe("+1.2e\u22125");
  expect(metricValue("logit_diff", 5.194)).toBe("+5.19");
  expect(metricValue("prob", 0.987)).toBe("0.99");
  expect(metricValue("rank", 12)).toBe("12");
  expect(metricValue(null, null)).toBe("\u2013");
});

test("what is not a number is a dash", () => {
  expect([null, undefined, Number.NaN, Number.POSITIVE_INFINITY].map((value) => fixed(value))).toEqual(
    Array(4).fill("\u2013"),
  );
});

test("progress is said with the time left, where it is known", () => {
  expect(progressText({ done: 10, total: 12, seconds_left: 0.2 })).toBe("10 of 12 \u00b7 0.2 s left");
  expect(progressText({ done: 0, total: 12, seconds_left: null })).toBe("0 of 12");
  const within = { done: 0, total: 16, seconds_left: 90, within: 0.456 };
  expect(progressText(within)).toBe("0 of 16 and 45% of the next \u00b7 2 min left");
  expect([9.96, 42.4, 600, 4620, 21_900].map(seconds)).toEqual([
    "10.0 s",
    "42 s",
    "10 min",
    "77 min",
    "6.1 h",
  ]);
});

test("small values keep two digits, and what would need many zeros has a power of ten", () => {
  expect([0.0042, 0.00031, 0.0000012].map((value) => metricValue("prob", value))).toEqual([
    "0.0042",
    "0.00031",
    "1.2e\u22126",
  ]);
  expect(metricValue("logit_diff", 0.0042)).toBe("+0.0042");
  expect(metricValue("logit_diff", -0.0042)).toBe("\u22120.0042");
  expect(metricValue("prob", 0)).toBe("0.00");
  expect([0.5, 3, 250, 0.04].map(decimalsFor)).toEqual([2, 2, 1, 3]);
});
