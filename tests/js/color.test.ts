import { expect, test } from "vitest";
import {
  contrast,
  divergingScale,
  luminance,
  overlay,
  parseColor,
  type Rgb,
  readableInk,
} from "../../js/lib/color";

const THEMES: Record<string, { clean: Rgb; corrupt: Rgb; zero: Rgb; fg: Rgb }> = {
  light: { clean: [22, 103, 183], corrupt: [181, 84, 14], zero: [244, 244, 244], fg: [29, 35, 41] },
  dark: { clean: [90, 169, 240], corrupt: [236, 154, 85], zero: [44, 46, 49], fg: [216, 220, 224] },
};

test.each(Object.entries(THEMES))("numbers can be read on every colour of the scale (%s)", (_, theme) => {
  const scale = divergingScale(theme, 1);
  for (let value = -1.2; value <= 1.2; value += 0.005) {
    expect(contrast(scale.fill(value), scale.ink(value))).toBeGreaterThanOrEqual(4.5);
  }
});

test.each(Object.entries(THEMES))(
  "zero is neutral, clean is positive, corrupt is negative (%s)",
  (_, theme) => {
    const scale = divergingScale(theme, 2);
    expect(scale.fill(0)).toEqual([...theme.zero]);
    expect(scale.fill(2)).toEqual([...theme.clean]);
    expect(scale.fill(-2)).toEqual([...theme.corrupt]);
    expect(scale.fill(5)).toEqual([...theme.clean]);
  },
);

test.each(Object.entries(THEMES))("larger effects are never fainter (%s)", (_, theme) => {
  const scale = divergingScale(theme, 1);
  for (const sign of [-1, 1]) {
    const away = [0, 0.25, 0.5, 0.75, 1].map((v) =>
      Math.abs(luminance(scale.fill(sign * v)) - luminance(theme.zero)),
    );
    expect(away).toEqual([...away].sort((a, b) => a - b));
  }
});

test("ink is the theme's own where that can be read", () => {
  expect(readableInk([255, 255, 255], [29, 35, 41])).toEqual([29, 35, 41]);
  expect(readableInk([22, 103, 183], [29, 35, 41])).toEqual([255, 255, 255]);
});

test("the colours that browsers compute are understood", () => {
  expect(parseColor("rgb(1, 2, 3)")).toEqual([1, 2, 3, 1]);
  expect(parseColor("rgba(1, 2, 3, 0.5)")).toEqual([1, 2, 3, 0.5]);
  expect(parseColor("color(srgb 1 0 0.2 / 0.5)")).toEqual([255, 0, 51, 0.5]);
  expect(parseColor("#1f1f1f")).toEqual([31, 31, 31, 1]);
  expect(parseColor("")).toBeNull();
});

test("translucent ink is laid over the ground", () => {
  expect(overlay([0, 0, 0, 0.5], [255, 255, 255])).toEqual([127.5, 127.5, 127.5]);
});
