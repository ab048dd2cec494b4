// The painted part of the lens: a canvas as large as what is seen, over a scroller as large as the whole.
import type { RefObject } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { useDensity } from "../../lib/grid_cells";
import { cellsSize, type GridLayout } from "../../lib/grid_layout";
import { sizeCanvas } from "../../lib/grid_paint";
import { type Axis, paintAxis } from "./axis";
import { MAX_HEIGHT } from "./layout";
import { type Frame, paintFrame, type Viewport } from "./paint";

/** A canvas that is kept as large as what is seen, and its context. */
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

export function useLensCanvas(
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
  // One object for all frames.
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
