// The grid's cells in words, for screen readers.
import type { GridLayout } from "./grid_layout";

/** Beyond this many cells only the row of the cursor is in the document. */
const ALL_CELLS = 4000;

interface GridRowsProps {
  id: string;
  layout: GridLayout;
  describe(index: number): string;
  place: number | null;
  pinned: number | null;
}

export const cellId = (grid: string, index: number): string => `${grid}-cell-${index}`;

export function GridRows({ id, layout, describe, place, pinned }: GridRowsProps) {
  const { rows, columns } = layout;
  const current = Math.floor((place ?? 0) / columns);
  const shown = rows * columns > ALL_CELLS ? [current] : Array.from({ length: rows }, (_, row) => row);
  return (
    <div class="hs-sr">
      {shown.map((row) => (
        // biome-ignore lint/a11y: focus stays on the grid, which names the active cell
        <div key={row} role="row" aria-rowindex={row + 1}>
          {Array.from({ length: columns }, (_, column) => {
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
                {describe(index)}
              </span>
            );
          })}
        </div>
      ))}
    </div>
  );
}
