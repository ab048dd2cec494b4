// Keyboard navigation between cells, and the cells inside a rectangle.
import { cellBox, drawnPanel, drawnRow, type GridLayout, panelAt, placeOf } from "./grid_layout";
import { range } from "./range";

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** The cell that a key moves to, or null if the key does not navigate a grid. */
export function cellAfterKey(layout: GridLayout, index: number, key: string): number | null {
  const row = index - (index % layout.columns);
  switch (key) {
    case "ArrowLeft":
      return step(layout, index, -1, 0);
    case "ArrowRight":
      return step(layout, index, 1, 0);
    case "ArrowUp":
      return step(layout, index, 0, -1);
    case "ArrowDown":
      return step(layout, index, 0, 1);
    case "Home":
      return row;
    case "End":
      return row + layout.columns - 1;
    default:
      return null;
  }
}

/** The cell in the upper left corner, where keyboard navigation starts. */
export function firstCell(layout: GridLayout): number {
  const panel = panelAt(layout, 0, 0) ?? 0;
  return (panel * layout.rows + drawnRow(layout, 0)) * layout.columns;
}

export function cellsIn(layout: GridLayout, box: Box): number[] {
  return range(layout.panels * layout.rows * layout.columns).filter((index) => {
    const { left, top, width, height } = cellBox(layout, index);
    const beside = left > box.left + box.width || left + width < box.left;
    return !beside && top <= box.top + box.height && top + height >= box.top;
  });
}

/** The next cell in drawing order: in the next panel at a panel's edge, and none at the grid's edge. */
function step(layout: GridLayout, index: number, dx: number, dy: number): number {
  const { rows, columns } = layout;
  const { panel, row, column } = placeOf(layout, index);
  let [x, y] = [column + dx, drawnRow(layout, row) + dy];
  let to: number | null = panel;
  if (x < 0 || x >= columns || y < 0 || y >= rows) {
    to = neighbour(layout, panel, dx, dy);
    [x, y] = [(x + columns) % columns, (y + rows) % rows];
  }
  return to === null ? index : (to * rows + drawnRow(layout, y)) * columns + x;
}

function neighbour(layout: GridLayout, panel: number, dx: number, dy: number): number | null {
  const { column, band } = drawnPanel(layout, panel);
  return panelAt(layout, column + dx, band + dy);
}
