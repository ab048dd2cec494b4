import { expect, test } from "vitest";
import { cellAfterKey, cellAt, cellBox, type GridLabel, layoutGrid } from "../../js/lib/grid_layout";

const label = (text: string): GridLabel => ({ lines: [{ text, tone: null }], title: text });
const labels = (n: number, text = "x") => Array.from({ length: n }, (_, i) => label(`${text}${i}`));
const layoutOf = (rows: number, columns: number, room = 600, flip = true, text = "x") =>
  layoutGrid(labels(rows), labels(columns, text), { room, flip, corner: "layer", mono: "monospace" });

test("row 0 is at the bottom when flipped and at the top when not", () => {
  const [flipped, plain] = [layoutOf(3, 5), layoutOf(3, 5, 600, false)];
  expect(cellBox(flipped, 0).top).toBe(2 * flipped.cellHeight);
  expect(cellBox(plain, 0).top).toBe(0);
});

test("the cell under a point is the one drawn there", () => {
  for (const flip of [true, false]) {
    const layout = layoutOf(3, 5, 600, flip);
    for (let index = 0; index < 15; index++) {
      const box = cellBox(layout, index);
      expect(cellAt(layout, box.left + 1, box.top + 1)).toBe(index);
    }
  }
});

test("outside of the grid there is no cell", () => {
  const layout = layoutOf(3, 5);
  expect(cellAt(layout, -1, 5)).toBeNull();
  expect(cellAt(layout, 5 * layout.cellWidth, 5)).toBeNull();
  expect(cellAt(layout, 5, 3 * layout.cellHeight)).toBeNull();
});

test("arrows go where they point, also when row 0 is at the bottom", () => {
  const flipped = layoutOf(3, 5);
  expect(cellAfterKey(flipped, 6, "ArrowUp")).toBe(11);
  expect(cellAfterKey(flipped, 6, "ArrowDown")).toBe(1);
  expect(cellAfterKey(layoutOf(3, 5, 600, false), 6, "ArrowUp")).toBe(1);
  expect(cellAfterKey(flipped, 6, "ArrowLeft")).toBe(5);
  expect(cellAfterKey(flipped, 6, "ArrowRight")).toBe(7);
});

test("keys stop at the edges, Home and End go to the ends of the row", () => {
  const layout = layoutOf(3, 5);
  expect(cellAfterKey(layout, 5, "ArrowLeft")).toBe(5);
  expect(cellAfterKey(layout, 14, "ArrowUp")).toBe(14);
  expect(cellAfterKey(layout, 7, "Home")).toBe(5);
  expect(cellAfterKey(layout, 7, "End")).toBe(9);
  expect(cellAfterKey(layout, 7, "a")).toBeNull();
});

test("labels stand upright only where they do not fit side by side", () => {
  expect(layoutOf(3, 5, 600, true, " capital").upright).toBe(false);
  expect(layoutOf(3, 12, 600, true, " capital").upright).toBe(true);
});

test("columns never become too narrow for a number: the grid scrolls instead", () => {
  expect(layoutOf(3, 100, 400).cellWidth).toBe(38);
});
