import { expect, test } from "vitest";
import { cellAfterKey, cellsIn, firstCell } from "../../js/lib/grid_keys";
import {
  cellAt,
  cellBox,
  cellsSize,
  type GridLabel,
  type GridShape,
  layoutGrid,
} from "../../js/lib/grid_layout";

const label = (text: string): GridLabel => ({ lines: [{ text, tone: null }], title: text });
const labels = (n: number, text = "x") => Array.from({ length: n }, (_, i) => label(`${text}${i}`));
const shapeOf = (rows: number, columns: number, change: Partial<GridShape> = {}): GridShape => ({
  rows: labels(rows),
  columns: labels(columns),
  panels: [],
  corner: "layer",
  flip: true,
  rise: true,
  compact: false,
  ...change,
});
const layoutOf = (rows: number, columns: number, room = 600, flip = true, text = "x") =>
  layoutGrid(shapeOf(rows, columns, { flip, columns: labels(columns, text) }), room, "monospace");

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
  expect(layoutOf(3, 5, 600, true, " capital").labels).toBe("level");
  expect(layoutOf(3, 12, 600, true, " capital").labels).toBe("upright");
});

test("columns never become too narrow for a number: the grid scrolls instead", () => {
  expect(layoutOf(3, 100, 400).cellWidth).toBe(38);
});

test("rows get lower, down to the height of a number, so that many layers fit on a screen", () => {
  expect(layoutOf(12, 5).cellHeight).toBe(24);
  expect(layoutOf(30, 5)).toMatchObject({ cellHeight: 18 });
  expect(cellsSize(layoutOf(30, 5)).height).toBeLessThan(560);
  expect(layoutOf(96, 5).cellHeight).toBe(13);
});

test("columns that almost fit get narrower, and where numbers can't fit labels still do", () => {
  const compact = (columns: number, room: number) =>
    layoutGrid(shapeOf(3, columns, { compact: true }), room + 47, "monospace");
  expect(compact(20, 750)).toMatchObject({ cellWidth: 37 }); // 20 of 38 would overflow by ten pixels
  expect(compact(20, 400)).toMatchObject({ cellWidth: 20, cellHeight: 24, labels: "upright" });
  expect(compact(40, 400)).toMatchObject({ cellWidth: 10, labels: "unseen" });
  expect(compact(80, 400)).toMatchObject({ cellWidth: 14, labels: "upright" }); // it scrolls anyway
});

/** Panels of 2 rows and 3 columns; row 0 on top, panel 0 at the bottom. */
const panelled = (panels: number, room: number) => {
  const titles = Array.from({ length: panels }, (_, i) => `layer ${i}`);
  return layoutGrid(shapeOf(2, 3, { panels: titles, flip: false, compact: true }), room, "monospace");
};

test("panels flow side by side in bands as even as can be, the first at the bottom left", () => {
  expect(panelled(4, 2000).across).toBe(4);
  const layout = panelled(4, 430); // room for three
  expect(layout.across).toBe(2);
  expect(cellBox(layout, 0).left).toBe(0);
  expect(cellBox(layout, 6).left).toBeGreaterThan(cellBox(layout, 2).left);
  expect(cellBox(layout, 12).top).toBeLessThan(cellBox(layout, 0).top);
  expect(panelled(4, 200).across).toBe(1);
});

test("the cell under a point is the one drawn there, in every panel, and between panels there is none", () => {
  const layout = panelled(5, 330);
  for (let index = 0; index < 30; index++) {
    const box = cellBox(layout, index);
    expect(cellAt(layout, box.left + 1, box.top + 1)).toBe(index);
    expect(cellAt(layout, box.left + box.width, box.top + box.height - 1)).toBe(index);
  }
  const edge = cellBox(layout, 2);
  expect(cellAt(layout, edge.left + edge.width + 5, edge.top + 1)).toBeNull();
  expect(cellAt(layout, 5, cellBox(layout, 0).top - 5)).toBeNull();
  const { width, height } = cellsSize(layout);
  expect(cellAt(layout, width - 1, height - 1)).toBe(11);
  expect(cellAt(layout, width + 1, height - 1)).toBeNull();
});

test("arrows lead from panel to panel where one is drawn, and stay where none is", () => {
  const layout = panelled(5, 330); // 2 side by side; the fifth alone on top
  expect(layout.across).toBe(2);
  expect(cellAfterKey(layout, 2, "ArrowRight")).toBe(6);
  expect(cellAfterKey(layout, 6, "ArrowLeft")).toBe(2);
  expect(cellAfterKey(layout, 8, "ArrowRight")).toBe(8);
  expect(cellAfterKey(layout, 1, "ArrowUp")).toBe(16);
  expect(cellAfterKey(layout, 16, "ArrowDown")).toBe(1);
  expect(cellAfterKey(layout, 26, "ArrowRight")).toBe(26);
  expect(cellAfterKey(layout, 18, "ArrowUp")).toBe(18);
  expect(firstCell(layout)).toBe(24);
});

test("a rectangle holds the cells that it touches, also over panels", () => {
  const layout = panelled(4, 560);
  const [a, b] = [cellBox(layout, 2), cellBox(layout, 9)];
  const box = { left: a.left + 5, top: a.top + 5, width: b.left - a.left, height: b.top - a.top };
  expect(cellsIn(layout, box)).toEqual([2, 5, 6, 9]);
});

test("cells become small only where panels with numbers would be too much to see at once", () => {
  const layoutFor = (panels: number, rows: number, columns: number, room: number) => {
    const titles = Array.from({ length: panels }, (_, i) => `layer ${i}`);
    return layoutGrid(shapeOf(rows, columns, { panels: titles, compact: true }), room, "monospace");
  };
  expect(layoutFor(4, 4, 6, 1090)).toMatchObject({ across: 4, cellHeight: 24 });
  expect(layoutFor(12, 12, 15, 1090)).toMatchObject({ across: 4, cellHeight: 14, labels: "upright" });
  expect(layoutFor(12, 12, 40, 1090)).toMatchObject({ across: 2, labels: "unseen" });
  expect(layoutFor(12, 12, 15, 300).across).toBe(1);
});
