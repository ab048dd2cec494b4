// The grid of the lens: cells and token axis on canvases, outlines over them, and text for screen readers.
import type { RefObject } from "preact";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type GridProps, markEdges, reveal } from "../../lib/grid";
import { Outlines, useDensity } from "../../lib/grid_cells";
import { useCursor, usePointer } from "../../lib/grid_cursor";
import { RowLabels } from "../../lib/grid_labels";
import { cellsSize, type GridLabel, type GridLayout } from "../../lib/grid_layout";
import { sizeCanvas } from "../../lib/grid_paint";
import { cellId, GridRows } from "../../lib/grid_rows";
import { range } from "../../lib/range";
import { useUniqueId } from "../../lib/unique_id";
import { axisInks, type FrameOf, frameOf, labelsOf } from "./frame";
import { MAX_HEIGHT } from "./layout";
import { type Axis, type Frame, paintAxis, paintFrame, type Viewport } from "./paint";
import { TokenAxis } from "./token_axis";

/** A cell's index is row * columns + column, counted in the columns shown. */
type Cells = Pick<GridProps, "label" | "room" | "revision" | "pinned" | "describe" | "onActive" | "onPin">;

interface LensGridProps extends FrameOf, Cells {
  rowLabels: GridLabel[];
  onColumns(columns: readonly [number, number]): void;
  /** Called for every frame with the visible positions. */
  onSeen(first: number, last: number): void;
}

/** With more cells than this, only those around the cursor are in the document. */
const ALL_CELLS = 4000;
const NEAR = 12;
const NONE: readonly number[] = [];

export function LensGrid(props: LensGridProps) {
  const { lens, shown, scaled, layout, columns, palette, revision, pinned, describe } = props;
  const [start] = columns;
  const scroller = useRef<HTMLDivElement>(null);
  const id = useUniqueId();
  const choosing = { ...props, picked: NONE, onPick: null };
  // A revealed cell is kept clear of the fading edge.
  const clear = { ...layout, gutter: layout.gutter + 40 };
  const show = (index: number) => reveal(scroller.current, clear, index);
  const cursor = useCursor(choosing, layout, show);
  const { handlers } = usePointer(choosing, layout, cursor);
  const [chosen, setChosen] = useState<Axis["chosen"]>(null);
  const named = cursor.active ?? pinned;
  const frame = useMemo(() => frameOf(props), [lens, shown, scaled, layout, start, palette, revision]);
  const linesOf = useMemo(() => labelsOf(props), [lens, shown, layout, palette]);
  const inks = useMemo(() => axisInks(palette), [palette]);
  const column = named === null ? null : start + (named % layout.columns);
  const axis = useMemo(() => ({ linesOf, inks, active: column, chosen }), [linesOf, inks, column, chosen]);
  // A grid opens at the pinned cell, or else where the prompt ends, since the answer is read there. This comes before
  // the drawing, so that the columns there are the first to be loaded.
  const placed = useRef<GridLayout | null>(null);
  useLayoutEffect(() => {
    if (pinned !== null) show(pinned);
    else if (placed.current !== layout) show(layout.rows * layout.columns - 1);
    placed.current = layout;
    if (scroller.current) markEdges(scroller.current);
  }, [pinned, layout, start]);
  const view = useLensCanvas(scroller, layout, props.room, frame, axis, props.onSeen);
  const words = useMemo(() => {
    const { place } = cursor;
    const at = (place ?? 0) % layout.columns;
    const many = layout.rows * layout.columns > ALL_CELLS;
    const near = range(layout.columns).filter((i) => !many || Math.abs(i - at) <= NEAR);
    return <GridRows {...{ id, layout, describe, near, place, pinned }} picked={NONE} />;
  }, [id, layout, describe, pinned, cursor.place]);
  const width = `${view.whole.width}px`;
  return (
    <div
      ref={scroller}
      class="hs-grid hs-lens-grid"
      data-hs="scroller"
      onScroll={(event) => {
        view.onScroll();
        markEdges(event.currentTarget);
      }}
      style={{
        "--hs-gutter": `${layout.gutter}px`,
        "--hs-footer": `${layout.footer}px`,
        maxWidth: `${layout.gutter + view.width + 6}px`,
        maxHeight: `${view.height + layout.footer + 24}px`,
      }}
    >
      <div class="hs-grid-inner">
        <div class="hs-as-children" aria-hidden="true">
          <RowLabels layout={layout} labels={props.rowLabels} active={named} />
        </div>
        <div
          class="hs-cells"
          data-hs="cells"
          role="grid"
          tabIndex={0}
          aria-label={props.label}
          aria-rowcount={layout.rows}
          aria-colcount={layout.columns}
          aria-activedescendant={cursor.place === null ? undefined : cellId(id, cursor.place)}
          onKeyDown={cursor.onKeyDown}
          onBlur={cursor.onBlur}
          style={{ width, height: `${view.whole.height}px` }}
          {...handlers}
        >
          <canvas ref={view.cells.canvas} style={{ width: `${view.width}px`, height: `${view.height}px` }} />
          <Outlines layout={layout} active={cursor.active} pinned={pinned} />
          {words}
        </div>
        <div class="hs-grid-corner" aria-hidden="true">
          layer
        </div>
        <TokenAxis
          canvas={view.labels.canvas}
          canvasWidth={view.width}
          width={width}
          tokens={shown.first.tokens}
          columns={columns}
          cellWidth={layout.cellWidth}
          chosen={chosen}
          onChoose={setChosen}
          onColumns={props.onColumns}
          reveal={(position) => show(position - start)}
        />
      </div>
    </div>
  );
}

/** A canvas that is kept as large as the visible area, and its context. */
interface Sheet {
  canvas: RefObject<HTMLCanvasElement>;
  context: RefObject<CanvasRenderingContext2D>;
}

function useSheet(width: number, height: number, density: number): Sheet {
  const canvas = useRef<HTMLCanvasElement>(null);
  const context = useRef<CanvasRenderingContext2D | null>(null);
  useLayoutEffect(() => {
    if (canvas.current) context.current = sizeCanvas(canvas.current, width, height, density);
  }, [width, height, density]);
  return { canvas, context } as Sheet;
}

function useLensCanvas(
  scroller: { current: HTMLElement | null },
  layout: GridLayout,
  room: number,
  frame: Frame,
  axis: Axis,
  onSeen: (first: number, last: number) => void,
) {
  const density = useDensity();
  const whole = cellsSize(layout);
  const width = Math.max(1, Math.min(whole.width, room - layout.gutter - 6));
  const height = Math.min(whole.height, MAX_HEIGHT);
  const cells = useSheet(width, height, density);
  const labels = useSheet(width, layout.footer, density);
  // The same object in all frames.
  const view = useRef<Viewport>({ left: 0, top: 0, width, height }).current;
  const paint = useCallback(() => {
    const { scrollLeft = 0, scrollTop = 0 } = scroller.current ?? {};
    view.left = Math.min(scrollLeft, whole.width - width);
    view.top = Math.min(scrollTop, whole.height - height);
    view.width = width;
    view.height = height;
    if (cells.context.current) paintFrame(cells.context.current, frame, view);
    if (labels.context.current) paintAxis(labels.context.current, frame, axis, view);
    const first = Math.floor(view.left / layout.cellWidth);
    const seen = Math.ceil(width / layout.cellWidth) + 1;
    onSeen(frame.start + first, Math.min(frame.stop, frame.start + first + seen));
  }, [frame, axis, layout, width, height, density]);
  useLayoutEffect(paint, [paint]);
  const waiting = useRef(0);
  useEffect(() => () => cancelAnimationFrame(waiting.current), []);
  const latest = useRef(paint);
  latest.current = paint;
  const onScroll = useCallback(() => {
    waiting.current ||= requestAnimationFrame(() => {
      waiting.current = 0;
      latest.current();
    });
  }, []);
  return { cells, labels, width, height, whole, onScroll };
}
