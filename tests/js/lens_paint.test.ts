import { expect, test } from "vitest";
import { spanOf, spread, ticksOf } from "../../js/panels/logit_lens_grid/chart";
import { frameOf } from "../../js/panels/logit_lens_grid/frame";
import { layoutLens } from "../../js/panels/logit_lens_grid/layout";
import { scaleOf } from "../../js/panels/logit_lens_grid/measures";
import { paintFrame } from "../../js/panels/logit_lens_grid/paint";
import { decodeLens, type ResultJson } from "../../js/panels/logit_lens_grid/result";
import { type Shown, shownSide } from "../../js/panels/logit_lens_grid/sides";
import { makeLens, makeLensPair, makeLongLens, makeUnequalLens } from "./lenses";
import { PALETTE } from "./palette";

/** A context that keeps what was drawn. */
function recorder() {
  const rects: { x: number; y: number; fill: string }[] = [];
  const texts: { text: string; x: number; y: number; fill: string }[] = [];
  const clips: number[] = [];
  const corners: number[] = [];
  const known = {
    fillStyle: "",
    fillRect: (x: number, y: number) => rects.push({ x, y, fill: known.fillStyle }),
    fillText: (text: string, x: number, y: number) => texts.push({ text, x, y, fill: known.fillStyle }),
    clip: () => clips.push(1),
    fill: () => corners.push(1),
    canvas: { height: 40 },
  };
  const context = new Proxy(known, { get: (target, name) => target[name as "clip"] ?? (() => {}) });
  return { context: context as unknown as CanvasRenderingContext2D, rects, texts, clips, corners };
}

function frameFor(json: ResultJson, name: "prompt" | "difference", columns?: [number, number]) {
  const lens = decodeLens(json);
  const shown = shownSide(lens, name) as Shown;
  const shape = { flip: true, both: shown.second !== null };
  const all: [number, number] = columns ?? [0, shown.first.positions];
  const layout = layoutLens(json.labels, all[1] - all[0], 600, PALETTE.mono, shape);
  const scaled = scaleOf(lens, shown, "probability", 0);
  return frameOf({ lens, shown, scaled, layout, columns: all, palette: PALETTE });
}

test("only the cells that are seen are painted", () => {
  const frame = frameFor(makeLongLens(), "prompt");
  const { context, rects } = recorder();
  const view = {
    left: 100 * frame.cellWidth + 10,
    top: 0,
    width: 5 * frame.cellWidth,
    height: 4 * frame.cellHeight,
  };
  paintFrame(context, frame, view);
  expect(rects).toHaveLength(6 * 4);
  expect(rects[0]).toMatchObject({ x: -10, y: 0 });
  // Nothing has come: empty ground.
  expect(new Set(rects.map(({ fill }) => fill))).toEqual(new Set([frame.empty]));
});

test("layer 0 is painted at the bottom, stronger where the token is likelier, a leading space apart from its word", () => {
  const frame = frameFor(makeLens(), "prompt", [2, 4]);
  const { context, rects, texts } = recorder();
  paintFrame(context, frame, { left: 0, top: 0, width: 2 * frame.cellWidth, height: 4 * frame.cellHeight });
  expect(rects).toHaveLength(8);
  // The last row, position 2: token (3 + 2) % 6, in the left upper corner.
  expect(texts[0]?.text).toBe("<script>");
  expect(texts.slice(-2).map(({ text }) => text)).toEqual(["\u2423", "is"]);
  const strength = ({ fill }: { fill: string }) => Number(/rgb\((\d+)/.exec(fill)?.[1]);
  expect(strength(rects[0] ?? { fill: "" })).toBeLessThan(strength(rects[6] ?? { fill: "" }));
});

test("where the sides' tokens differ both stand under each other; low rows have a corner that says so", () => {
  const frame = frameFor(makeLensPair(), "difference", [0, 1]);
  const draw = (change: object) => {
    const { context, texts, corners } = recorder();
    paintFrame(context, { ...frame, ...change }, { left: 0, top: 0, width: 90, height: 20 });
    return { words: texts.filter(({ text }) => text !== "\u2423"), corners: corners.length };
  };
  const stacked = draw({});
  expect(stacked.words.map(({ text }) => text)).toEqual(["is", "capital"]);
  expect(stacked.words[0]?.y).toBeLessThan(stacked.words[1]?.y ?? 0);
  expect(stacked.corners).toBe(0);
  const low = draw({ cellHeight: 24 });
  expect(low.words.map(({ text }) => text)).toEqual(["is"]);
  expect(low.corners).toBe(1);
});

test("columns without a counterpart are hatched", () => {
  const frame = frameFor(makeUnequalLens(), "difference");
  const { context, clips } = recorder();
  paintFrame(context, frame, { left: 0, top: 0, width: 6 * frame.cellWidth, height: 4 * frame.cellHeight });
  expect(clips).toHaveLength(4);
});

test("many layers stay on the screen, and cells never become too narrow to read", () => {
  const labels = Array.from({ length: 49 }, (_, i) => String(i));
  const { cellWidth, cellHeight } = layoutLens(labels, 1000, 900, PALETTE.mono, { flip: true, both: false });
  expect(cellWidth).toBeGreaterThanOrEqual(52);
  expect(cellHeight * 49).toBeLessThanOrEqual(700);
});

test("labels at the ends of lines are moved apart, in their order, and stay inside", () => {
  expect(spread([50, 51, 10], 13, 8, 100)).toEqual([50, 63, 10]);
  const placed = spread([99, 98, 97], 13, 8, 100);
  expect(placed).toEqual([100, 87, 74]);
});

test("scales have round ends", () => {
  const line = (values: number[]) => {
    const all = Float32Array.from(values);
    const side = "prompt" as const;
    return [
      { key: "", id: 1, token: "", side, tone: null, values: { probability: all, logit: all, rank: all } },
    ];
  };
  expect(spanOf(line([3, 11.5]), "probability")).toEqual({ low: 0, high: 1 });
  expect(spanOf(line([3, 11.5]), "logit")).toEqual({ low: 0, high: 15 });
  expect(spanOf(line([0, 4999]), "rank")).toEqual({ low: -4, high: 0 });
  expect(ticksOf({ low: -4, high: 0 }, "rank").map(({ text }) => text)).toEqual([
    "10k",
    "1000",
    "100",
    "10",
    "0",
  ]);
});
