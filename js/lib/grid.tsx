// A grid of numbers as coloured cells: hover, pin, keyboard, and words for screen readers. It knows no widget.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import {
  cellAfterKey,
  cellAt,
  cellBox,
  drawnRow,
  type GridLabel,
  type GridLayout,
  layoutGrid,
} from "./grid_layout";
import { type PaintCell, paintCells, sizeCanvas } from "./grid_paint";
import { cellId, GridRows } from "./grid_rows";
import { usePalette } from "./theme";
import { Token } from "./tokens";
import { useUniqueId } from "./unique_id";

export interface GridProps {
  label: string;
  rows: GridLabel[];
  columns: GridLabel[];
  /** Stands where row and column labels meet. */
  corner: string;
  /** Draw row 0 at the bottom. */
  flip: boolean;
  /** How wide the grid may become before it scrolls. */
  room: number;
  /** The column to begin with where not all can be seen. */
  startColumn: number;
  paint: PaintCell;
  describe(index: number): string;
  /** Anything that changes when cells have changed. */
  revision: unknown;
  pinned: number | null;
  onActive(index: number | null): void;
  onPin(index: number | null): void;
}

export function Grid(props: GridProps) {
  const { rows, columns, flip, room, corner, pinned, paint } = props;
  const { mono } = usePalette();
  const layout = useMemo(
    () => layoutGrid(rows, columns, { room, flip, corner, mono }),
    [rows, columns, room, flip, corner, mono],
  );
  const scroller = useRef<HTMLDivElement>(null);
  const id = useUniqueId();
  const cursor = useCursor(props, layout, scroller);
  const active = cursor.active;
  // Thousands of words: not to be looked through again whenever the pointer moves.
  const words = useMemo(() => {
    const { describe } = props;
    return <GridRows {...{ id, layout, describe, pinned }} place={cursor.place} />;
  }, [id, layout, props.revision, pinned, cursor.place]);
  useLayoutEffect(() => {
    if (!scroller.current) return;
    scroller.current.scrollLeft = props.startColumn * layout.cellWidth;
    markEdges(scroller.current);
  }, [layout, props.startColumn]);
  return (
    <div
      ref={scroller}
      class="hs-grid hs-focusable"
      role="grid"
      tabIndex={0}
      data-hs="grid"
      aria-label={props.label}
      aria-rowcount={layout.rows}
      aria-colcount={layout.columns}
      aria-activedescendant={cursor.place === null ? undefined : cellId(id, cursor.place)}
      onKeyDown={cursor.onKeyDown}
      onBlur={cursor.onBlur}
      onScroll={(event) => markEdges(event.currentTarget)}
      style={{ "--hs-gutter": `${layout.gutter}px`, "--hs-footer": `${layout.footer}px` }}
    >
      <div class="hs-grid-inner" aria-hidden="true">
        <RowLabels layout={layout} labels={rows} active={active} />
        <Cells layout={layout} paint={paint} revision={props.revision} cursor={cursor} pinned={pinned} />
        <div class="hs-grid-corner">{corner}</div>
        <ColumnLabels layout={layout} labels={columns} active={active} />
      </div>
      {words}
    </div>
  );
}

/** Marks on which side there are columns that can't be seen. */
function markEdges(scroller: HTMLElement): void {
  const { scrollLeft, clientWidth, scrollWidth } = scroller;
  scroller.dataset.left = String(scrollLeft > 0);
  scroller.dataset.right = String(scrollLeft + clientWidth < scrollWidth - 1);
}

/** The cell under the pointer or the keyboard's cursor; `place` is where the keyboard would go on from. */
function useCursor(props: GridProps, layout: GridLayout, scroller: { current: HTMLDivElement | null }) {
  const { pinned, onActive, onPin } = props;
  const [active, setActive] = useState<number | null>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const cells = layout.rows * layout.columns;
  const inside = (index: number | null) => (index !== null && index < cells ? index : null);
  const show = (index: number | null) => {
    if (index === active) return;
    setActive(index);
    onActive(index);
  };
  const place = inside(cursor) ?? inside(pinned);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const first = drawnRow(layout, 0) * layout.columns;
    const next = place === null ? first : cellAfterKey(layout, place, event.key);
    const moves = cellAfterKey(layout, 0, event.key) !== null;
    if (moves && next !== null) {
      setCursor(next);
      show(next);
      reveal(scroller.current, layout, next);
    } else if (event.key === "Enter" || event.key === " ") {
      if (place !== null) onPin(place === pinned ? null : place);
    } else if (event.key === "Escape") {
      onPin(null);
      show(null);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const onPointer = (index: number | null) => show(index);
  const onClick = (index: number) => {
    setCursor(index);
    onPin(index === pinned ? null : index);
  };
  return { active: inside(active), place, onKeyDown, onPointer, onClick, onBlur: () => show(null) };
}

type Cursor = ReturnType<typeof useCursor>;

interface CellsProps {
  layout: GridLayout;
  paint: PaintCell;
  revision: unknown;
  cursor: Cursor;
  pinned: number | null;
}

function Cells({ layout, paint, revision, cursor, pinned }: CellsProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { mono } = usePalette();
  const density = useDensity();
  const width = layout.columns * layout.cellWidth;
  const height = layout.rows * layout.cellHeight;
  useLayoutEffect(() => {
    if (!canvas.current) return;
    const context = sizeCanvas(canvas.current, width, height, density);
    if (context) paintCells(context, layout, paint, mono);
  }, [layout, paint, revision, mono, density, width, height]);
  const under = (event: MouseEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return cellAt(layout, event.clientX - box.left, event.clientY - box.top);
  };
  return (
    // biome-ignore lint/a11y: the grid around it has the role, the name and the keyboard
    <div
      class="hs-cells"
      data-hs="cells"
      style={{ width: `${width}px`, height: `${height}px` }}
      onPointerMove={(event) => cursor.onPointer(under(event))}
      onPointerLeave={() => cursor.onPointer(null)}
      onClick={(event) => {
        const index = under(event);
        if (index !== null) cursor.onClick(index);
      }}
    >
      <canvas ref={canvas} />
      {cursor.active !== null && <Outline layout={layout} index={cursor.active} kind="active" />}
      {pinned !== null && <Outline layout={layout} index={pinned} kind="pin" />}
    </div>
  );
}

function Outline({ layout, index, kind }: { layout: GridLayout; index: number; kind: "active" | "pin" }) {
  const { left, top, width, height } = cellBox(layout, index);
  const style = { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` };
  return <i class={`hs-outline hs-outline-${kind}`} data-hs={kind} data-cell={index} style={style} />;
}

interface LabelsProps {
  layout: GridLayout;
  labels: GridLabel[];
  active: number | null;
}

function RowLabels({ layout, labels, active }: LabelsProps) {
  const activeRow = active === null ? -1 : Math.floor(active / layout.columns);
  return (
    <div class="hs-row-labels">
      {labels.map((label, row) => (
        <span
          key={label.title}
          class={row === activeRow ? "hs-label-active" : undefined}
          title={label.title}
          style={{
            top: `${drawnRow(layout, row) * layout.cellHeight}px`,
            height: `${layout.cellHeight - 1}px`,
          }}
        >
          {label.lines[0]?.text}
        </span>
      ))}
    </div>
  );
}

function ColumnLabels({ layout, labels, active }: LabelsProps) {
  const activeColumn = active === null ? -1 : active % layout.columns;
  return (
    <div class={layout.upright ? "hs-column-labels hs-upright" : "hs-column-labels"}>
      {labels.map((label, column) => (
        <div
          key={label.title}
          class={column === activeColumn ? "hs-label-active" : undefined}
          title={label.title}
          style={{ width: `${layout.cellWidth - 1}px` }}
        >
          {label.lines.map((line) => (
            <span key={line.tone} class={line.tone ? `hs-differs hs-tone-${line.tone}` : undefined}>
              <Token text={line.text} />
            </span>
          ))}
        </div>
      ))}
    </div>
  );
}

/** Scrolls the grid, and nothing around it, until the cell can be seen. */
function reveal(scroller: HTMLElement | null, layout: GridLayout, index: number): void {
  if (!scroller) return;
  const box = cellBox(layout, index);
  const right = box.left + layout.cellWidth - (scroller.clientWidth - layout.gutter);
  const bottom = box.top + layout.cellHeight - (scroller.clientHeight - layout.footer);
  scroller.scrollLeft = Math.min(box.left, Math.max(scroller.scrollLeft, right));
  scroller.scrollTop = Math.min(box.top, Math.max(scroller.scrollTop, bottom));
}

function useDensity(): number {
  const [density, setDensity] = useState(() => window.devicePixelRatio || 1);
  useEffect(() => {
    const query = matchMedia(`(resolution: ${density}dppx)`);
    const changed = () => setDensity(window.devicePixelRatio || 1);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, [density]);
  return density;
}
