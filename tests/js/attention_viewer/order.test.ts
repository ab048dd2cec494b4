import { expect, test } from "vitest";
import { cellAt } from "../../../js/lib/grid_layout";
import { formatLayers, parseLayers } from "../../../js/panels/attention_viewer/layers";
import { markedCells } from "../../../js/panels/attention_viewer/marks";
import { layoutMatrix, matrixCellAt } from "../../../js/panels/attention_viewer/matrix_layout";
import { orderOf, sortedBy } from "../../../js/panels/attention_viewer/order";
import { Attention } from "../../../js/panels/attention_viewer/result";
import { decodeScores, scoreWords } from "../../../js/panels/attention_viewer/scores";
import { strongest } from "../../../js/panels/attention_viewer/strongest";
import { layoutThumbs, thumbBox } from "../../../js/panels/attention_viewer/thumb_layout";
import { headWords, short } from "../../../js/panels/attention_viewer/words";
import { makeAttention, makeScore, manyTokens } from "./viewers";

const pairs = (cells: Int32Array) =>
  Array.from({ length: cells.length / 2 }, (_, i) => [cells[2 * i], cells[2 * i + 1]]);

test("marks: where heads of known kinds would look", () => {
  const ids = [0, 5, 6, 5, 6];
  expect(pairs(markedCells("previous", ids))).toEqual([
    [1, 0],
    [2, 1],
    [3, 2],
    [4, 3],
  ]);
  expect(pairs(markedCells("induction", ids))).toEqual([
    [3, 2],
    [4, 3],
  ]);
  expect(pairs(markedCells("duplicate", ids))).toEqual([
    [3, 1],
    [4, 2],
  ]);
  expect(pairs(markedCells("induction", [7, 7, 7]))).toEqual([
    [1, 1],
    [2, 1],
    [2, 2],
  ]);
});

const KNOWN = [0, 1, 2, 3, 7, 8];
test.each([
  ["0-3, 7", [0, 1, 2, 3, 7]],
  ["7,0", [0, 7]],
  ["2 \u2013 3", [2, 3]],
  ["  ", null],
  ["all", null],
  ["0-8", null],
  ["0 1", [0, 1]],
])("layers %o", (text, layers) => {
  expect(parseLayers(text, KNOWN)).toEqual(layers);
});

test.each([
  ["x", "“x” is neither a layer nor a range"],
  ["9", "There is no layer 9. Layers are 0-3, 7-8."],
  ["3-1", "The range 3-1 ends before it begins."],
  ["-1", "neither a layer nor a range"],
])("layers %o are refused with a sentence", (text, words) => {
  expect(parseLayers(text, KNOWN)).toContain(words);
});

test("layers as they are shown can be typed again", () => {
  expect(formatLayers([0, 1, 2, 7])).toBe("0-2, 7");
  expect(formatLayers(null)).toBe("all");
});

const attention = new Attention(makeAttention({}, { layers: [4, 9], heads: [0, 2, 5] }));
const scores = decodeScores(
  [
    makeScore("up", [1, 3, Number.NaN, 3, 2, -1]),
    makeScore("down", [1, 3, Number.NaN, 3, 2, -1], { descending: false, on: "random" }),
    makeScore("other", [1, 2]),
  ],
  attention,
);

test("heads have the model's own numbers", () => {
  expect(attention.headAt(4)).toEqual([9, 2]);
  expect(attention.indexOf(9, 2)).toBe(4);
  expect(attention.indexOf(2, 9)).toBe(-1);
  expect(attention.titleOf(5)).toBe("Head 9.5");
});

test("sorting: best first, equal ones in their order, those without a score last", () => {
  const all = [0, 1, 2, 3, 4, 5];
  expect(scores.map(({ name }) => name)).toEqual(["up", "down"]);
  const [up, down] = scores;
  if (!up || !down) throw new Error("no scores");
  expect(sortedBy(all, up)).toEqual([1, 3, 4, 0, 5, 2]);
  expect(sortedBy(all, down)).toEqual([5, 0, 4, 1, 3, 2]);
});

test("the layers that are chosen are shown, all where none of them is there", () => {
  expect(orderOf(attention, [9], null)).toEqual({ rows: [1], heads: [3, 4, 5] });
  expect(orderOf(attention, [1], null).heads).toHaveLength(6);
  expect(orderOf(attention, [9], scores[0] ?? null)).toEqual({ rows: null, heads: [3, 4, 5] });
});

test("a head's scores in words, those on random tokens with their name", () => {
  expect(scoreWords(scores, "prompt", 1)).toBe("up 3.00");
  expect(scoreWords(scores, "prompt", 2)).toBe("up \u2013");
  expect(headWords(attention, scores, [], 1)).toBe("Head 4.2, up 3.00, on repeated random tokens: down 3.00");
});

test("the strongest entries of a row and of a column, never masked ones", () => {
  const INF = Number.POSITIVE_INFINITY;
  const values = Float32Array.from([1, INF, INF, 0.2, -0.8, INF, 0.1, 0.6, 0.3]);
  expect(strongest(values, 3, 1, "sources", 4).map((e) => e.position)).toEqual([1, 0]);
  expect(strongest(values, 3, 2, "sources", 2).map((e) => e.position)).toEqual([1, 2]);
  expect(strongest(values, 3, 0, "positions", 4).map((e) => e.position)).toEqual([1, 2]);
});

test("numbers have four significant digits, and a true minus", () => {
  expect([0.43121957, -0.5, 0, 12345.678, Number.NaN].map(short)).toEqual([
    "0.4312",
    "\u22120.5000",
    "0",
    "12346",
    "\u2013",
  ]);
  expect(short(1.234e-7)).toBe("1.2e\u22127");
});

test("2,304 heads fit the room down to what can be hit, and every head can", () => {
  const order = { rows: Array.from({ length: 48 }, (_, i) => i), heads: [] };
  const layout = layoutThumbs(order, 48, 64, 1000, true);
  expect(layout.cellWidth).toBe(14);
  const box = thumbBox(layout, 47 * 48 + 3);
  expect(cellAt(layout, box.left + 5, box.top + 5)).toBe(47 * 48 + 3);
  expect(box.top).toBeLessThan(14);
});

test("in a flow the first head is at the top left, and what is beside them is none", () => {
  const layout = layoutThumbs({ rows: null, heads: [5, 1, 2] }, 3, 10, 200, true);
  expect([layout.across, thumbBox(layout, 0).left]).toEqual([2, 1]);
  const last = thumbBox(layout, 2);
  expect(cellAt(layout, last.left + 3, last.top + 3)).toBe(2);
  expect(cellAt(layout, last.left + layout.cellWidth + 20, last.top + 3)).toBeNull();
});

test("a cell of 500 tokens is found under the pointer though it is less than a pixel", () => {
  const layout = layoutMatrix(manyTokens(500), 400, "monospace", { labelled: true, density: 1 });
  expect(layout.cell).toBeLessThan(1);
  expect(layout.width).toBeLessThanOrEqual(400);
  const at = (position: number, source: number) =>
    matrixCellAt(
      layout,
      layout.gutter + (source + 0.5) * layout.cell,
      layout.height - layout.gutter - layout.side + (position + 0.5) * layout.cell,
    );
  for (const [d, s] of [
    [0, 0],
    [499, 0],
    [321, 123],
    [499, 499],
  ] as const) {
    expect(at(d, s)).toEqual({ position: d, source: s });
  }
  expect(at(500, 3)).toBeNull();
});
