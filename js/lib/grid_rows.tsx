// The grid's cells as text for screen readers.
import type { GridLayout } from "./grid_layout";
import { range } from "./range";

/** With more cells than this, only the row of the cursor is in the document: thousands of nodes would stall the page. */
const ALL_CELLS = 600;

interface GridRowsProps {
  id: string;
  layout: GridLayout;
  describe(index: number): string;
  /** The columns that are in the document; all if left out. */
  near?: number[] | undefined;
  place: number | null;
  pinned: number | null;
  picked: readonly number[];
}

export const cellId = (grid: string, index: number): string => `${grid}-cell-${index}`;

export function GridRows({ id, layout, describe, near, place, pinned, picked }: GridRowsProps) {
  const { columns } = layout;
  const rows = layout.panels * layout.rows;
  const isPicked = new Set(picked);
  const current = Math.floor((place ?? 0) / columns);
  const shown = rows * columns > ALL_CELLS ? [current] : range(rows);
  return (
    <div class="hs-sr">
      {shown.map((row) => (
        // biome-ignore lint/a11y: focus stays on the grid, which names the active cell
        <div key={row} role="row" aria-rowindex={row + 1}>
          {(near ?? range(columns)).map((column) => {
            const index = row * columns + column;
            return (
              // biome-ignore lint/a11y: focus stays on the grid, which names the active cell
              <span
                key={column}
                role="gridcell"
                id={cellId(id, index)}
                data-hs="cell"
                data-cell={index}
                aria-colindex={column + 1}
                aria-selected={index === pinned}
              >
                {isPicked.has(index) ? `${describe(index)}, picked` : describe(index)}
              </span>
            );
          })}
        </div>
      ))}
    </div>
  );
}
