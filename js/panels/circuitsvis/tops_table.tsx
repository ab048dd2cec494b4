// The table of top and bottom tokens: one column for each neuron, with a cursor that reads one cell.
import { cellInTable, isChoosing, keyHandler } from "../../lib/keys";
import { useTrait, type ViewModel, write } from "../../lib/model";
import { Token, visibleText } from "../../lib/tokens";
import { useUniqueId } from "../../lib/unique_id";
import type { TopsFigure } from "./figure";
import type { Shade } from "./shade";
import { entryOf, type Line, rankWords, type Shown } from "./tops_data";

/** A cell of the table: its line, and the number of its column. */
export interface Cell {
  row: number;
  column: number;
}

export function usePinned(model: ViewModel, { lines, columns }: Shown): Cell | null {
  const { row, column } = useTrait<Partial<Cell> | null>(model, "selection") ?? {};
  if (row === undefined || column === undefined) return null;
  return row < lines.length && columns.includes(column) ? { row, column } : null;
}

interface TableProps {
  model: ViewModel;
  figure: TopsFigure;
  shown: Shown;
  shade: Shade;
  pinned: Cell | null;
  active: Cell | null;
  setActive(cell: Cell | null): void;
}

export function Table(props: TableProps) {
  const { figure, shown, pinned, active, setActive } = props;
  const id = useUniqueId();
  const keys = useKeys(props);
  const cursor = active ?? pinned;
  return (
    <div class="hs-cv-scroll">
      <table
        class="hs-cv-tops hs-focusable"
        // biome-ignore lint/a11y: the focus stays on the table, which names the cell that is read
        role="grid"
        tabIndex={0}
        data-hs="tops"
        aria-label={`${figure.title} by ${figure.names[1]}`}
        aria-activedescendant={cursor ? `${id}-${cursor.row}-${cursor.column}` : undefined}
        onKeyDown={keys}
        onBlur={() => setActive(null)}
        onPointerLeave={() => setActive(null)}
        onPointerOver={({ target }) => setActive(cellOf(target))}
        onClick={({ target }) => pin(props, cellOf(target))}
      >
        <thead>
          <tr>
            <th scope="col">{figure.names[1]}</th>
            {shown.columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.lines.map((line, row) => (
            <Row key={`${line.end.name} ${line.index}`} {...props} {...{ line, row, id }} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({
  figure,
  shown,
  shade,
  pinned,
  active,
  line,
  row,
  id,
}: TableProps & { line: Line; row: number; id: string }) {
  const is = (cell: Cell | null, column: number) => cell?.row === row && cell.column === column;
  const begins = line.end.name === "bottom" && shown.lines[row - 1]?.end.name === "top";
  return (
    <tr class={begins ? "hs-cv-begins" : undefined} data-end={line.end.name}>
      <th scope="row">{rankWords(line)}</th>
      {shown.columns.map((column) => {
        const { token, value, text, plain } = entryOf(figure, shown, line, column);
        const none = Number.isNaN(value);
        return (
          // biome-ignore lint/a11y: the focus stays on the table
          <td
            key={column}
            id={`${id}-${row}-${column}`}
            // biome-ignore lint/a11y: the focus stays on the table
            role="gridcell"
            class={none ? "hs-cv-none" : undefined}
            data-row={row}
            data-column={column}
            data-value={plain}
            data-active={is(active, column) || undefined}
            aria-selected={is(pinned, column)}
            aria-label={`${visibleText(token)}, ${text}`}
            style={none ? undefined : { background: shade.fill(value), color: shade.ink(value) }}
          >
            <Token text={token} />
          </td>
        );
      })}
    </tr>
  );
}

function cellOf(target: EventTarget | null): Cell | null {
  const found = (target as Element | null)?.closest?.<HTMLElement>("[data-row]");
  return found ? { row: Number(found.dataset.row), column: Number(found.dataset.column) } : null;
}

function pin({ model, pinned }: TableProps, cell: Cell | null): void {
  if (!cell) return;
  const same = pinned?.row === cell.row && pinned.column === cell.column;
  write(model, "selection", same ? null : { row: cell.row, column: cell.column });
}

function useKeys(props: TableProps) {
  const { shown, active, pinned, setActive, model } = props;
  const { lines, columns } = shown;
  return keyHandler((event) => {
    const here = active ?? pinned;
    const at = here ? columns.indexOf(here.column) : 0;
    const next = cellInTable(event.key, here?.row ?? 0, at, lines.length, columns.length);
    if (next) {
      const { row, column: to } = here ? next : { row: 0, column: 0 };
      const column = columns[to] ?? 0;
      setActive({ row, column });
      const cell = `[data-row="${row}"][data-column="${column}"]`;
      const table = event.currentTarget as HTMLElement;
      table.querySelector(cell)?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
    } else if (isChoosing(event)) pin(props, here);
    else if (event.key === "Escape" && here) {
      setActive(null);
      write(model, "selection", null);
    } else return false;
    return true;
  });
}
