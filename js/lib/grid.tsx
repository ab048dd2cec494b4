// A grid of numbers as coloured cells, with hovering, pinning, picking, keyboard control and text for screen readers. It
// depends on no widget.
import type { ComponentChildren, RefObject } from "preact";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { GridCells } from "./grid_cells";
import { type Cursor, useCursor } from "./grid_cursor";
import { ColumnLabels, RowLabels } from "./grid_labels";
import { cellBox, type GridLayout, type GridShape, layoutGrid } from "./grid_layout";
import type { PaintCell } from "./grid_paint";
import { cellId, GridRows } from "./grid_rows";
import { usePalette } from "./theme";
import { useUniqueId } from "./unique_id";

export interface GridProps {
  label: string;
  shape: GridShape;
  /** The width at which the grid begins to scroll. */
  room: number;
  /** The first visible column when not all columns fit. */
  startColumn: number;
  paint: PaintCell;
  describe(index: number): string;
  /** Any value that changes whenever cells change. */
  revision: unknown;
  pinned: number | null;
  picked: readonly number[];
  onActive(index: number | null): void;
  onPin(index: number | null): void;
  /** Missing if only one cell can be chosen. */
  onPick: ((cells: number[]) => void) | null;
  /** Shows the folded columns. */
  onUnfold?: (() => void) | undefined;
  /** Whether the pinned place is in a folded column. */
  pinFolded?: boolean;
}

export function Grid(props: GridProps) {
  const { shape, room, pinned, picked } = props;
  const { mono } = usePalette();
  const layout = useMemo(() => layoutGrid(shape, room, mono), [shape, room, mono]);
  const scroller = useRef<HTMLDivElement>(null);
  const id = useUniqueId();
  const cursor = useCursor(props, layout, (index) => reveal(scroller.current, layout, index));
  // The row and column whose labels are highlighted.
  const named = cursor.active ?? pinned;
  // Thousands of nodes, so they are not diffed again whenever the pointer moves.
  const words = useMemo(() => {
    const { describe } = props;
    return <GridRows {...{ id, layout, describe, pinned, picked }} place={cursor.place} />;
  }, [id, layout, props.revision, pinned, picked, cursor.place]);
  useLayoutEffect(() => {
    if (!scroller.current) return;
    scroller.current.scrollLeft = props.startColumn * layout.cellWidth;
    markEdges(scroller.current);
  }, [layout, props.startColumn]);
  return (
    <GridFrame
      {...{ scroller, id, name: "grid", layout, cursor, named, words }}
      label={props.label}
      labels={shape}
      many={props.onPick !== null}
      strip={
        shape.folded && (
          // The pointer's way; the keyboard's is a button beside the grid.
          <button
            type="button"
            tabIndex={-1}
            class="hs-plain hs-folded"
            data-hs="folded"
            data-pinned={props.pinFolded}
            title={`${shape.folded.title}. Click to show them.`}
            style={{ top: `${layout.head}px` }}
            onClick={props.onUnfold}
          >
            <span>{shape.folded.text}</span>
          </button>
        )
      }
    >
      <GridCells grid={props} layout={layout} cursor={cursor} />
    </GridFrame>
  );
}

interface FrameProps {
  scroller: RefObject<HTMLDivElement | null>;
  id: string;
  name: string;
  label: string;
  layout: GridLayout;
  cursor: Cursor;
  /** null if the cells flow and form no rows and columns. */
  labels: Pick<GridShape, "rows" | "columns" | "corner"> | null;
  /** The cell whose labels are highlighted. */
  named: number | null;
  /** Whether several cells can be chosen. */
  many?: boolean;
  /** What stands for columns that are left out, before the first. */
  strip?: ComponentChildren;
  /** The cells for screen readers. */
  words: ComponentChildren;
  children: ComponentChildren;
}

/** The element that scrolls and takes the focus: the cells with their labels. */
export function GridFrame(props: FrameProps) {
  const { scroller, id, layout, cursor, labels, named, children } = props;
  return (
    <div
      ref={scroller}
      class="hs-grid hs-focusable"
      role="grid"
      tabIndex={0}
      data-hs={props.name}
      aria-label={props.label}
      aria-multiselectable={props.many}
      aria-rowcount={layout.panels * layout.rows}
      aria-colcount={layout.columns}
      aria-activedescendant={cursor.place === null ? undefined : cellId(id, cursor.place)}
      onKeyDown={cursor.onKeyDown}
      onBlur={cursor.onBlur}
      onScroll={(event) => markEdges(event.currentTarget)}
      style={{
        "--hs-gutter": `${layout.gutter}px`,
        "--hs-strip": `${layout.strip ?? 0}px`,
        "--hs-footer": `${layout.footer}px`,
      }}
    >
      <div class="hs-grid-inner" aria-hidden="true">
        {labels ? (
          <RowLabels layout={layout} labels={labels.rows} active={named}>
            {props.strip}
          </RowLabels>
        ) : (
          <span />
        )}
        {children}
        {labels && <div class="hs-grid-corner">{labels.corner}</div>}
        {labels && <ColumnLabels layout={layout} labels={labels.columns} active={named} />}
      </div>
      {props.words}
    </div>
  );
}

/** Marks the sides on which columns are scrolled out of view. */
export function markEdges(scroller: HTMLElement): void {
  const { scrollLeft, clientWidth, scrollWidth } = scroller;
  scroller.dataset.left = String(scrollLeft > 0);
  scroller.dataset.right = String(scrollLeft + clientWidth < scrollWidth - 1);
}

/** Scrolls the grid, but nothing around it, until the cell is visible. */
export function reveal(scroller: HTMLElement | null, layout: GridLayout, index: number): void {
  if (!scroller) return;
  const box = cellBox(layout, index);
  const right = box.left + layout.cellWidth - (scroller.clientWidth - layout.gutter);
  const bottom = box.top + layout.cellHeight - (scroller.clientHeight - layout.footer);
  scroller.scrollLeft = Math.min(box.left, Math.max(scroller.scrollLeft, right));
  scroller.scrollTop = Math.min(box.top - layout.head, Math.max(scroller.scrollTop, bottom));
}
