// A rectangle that is drawn with Shift and the mouse, to choose all nodes in it.
import { useRef, useState } from "preact/hooks";
import type { Layout } from "./layout";

interface Corners {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

/** Less is a click. */
const LEAST = 4;

/** The nodes whose middle is inside, of groups none. */
export function nodesWithin({ boxes }: Layout, { x0, y0, x1, y1 }: Corners): string[] {
  const between = (n: number, a: number, b: number) => n >= Math.min(a, b) && n <= Math.max(a, b);
  return [...boxes.values()]
    .filter(({ x, y, count }) => count === undefined && between(x, x0, x1) && between(y, y0, y1))
    .map(({ name }) => name);
}

/** Handlers for the picture, and the rectangle in the layout's own pixels while there is one. */
export function useBand(
  placeOf: (event: PointerEvent) => { x: number; y: number },
  onBegin: () => void,
  onEnd: ((corners: Corners) => void) | undefined,
) {
  const [corners, setCorners] = useState<Corners | null>(null);
  const pointer = useRef(-1);
  const end = (event: PointerEvent, done: boolean) => {
    if (event.pointerId !== pointer.current) return;
    pointer.current = -1;
    setCorners(null);
    if (done && corners && isRectangle(corners)) onEnd?.(corners);
  };
  const handlers = onEnd && {
    onPointerDown(event: PointerEvent) {
      if (!event.shiftKey || event.button !== 0 || (event.target as Element).closest("button")) return;
      event.preventDefault();
      (event.currentTarget as Element).setPointerCapture?.(event.pointerId);
      pointer.current = event.pointerId;
      onBegin();
      const { x, y } = placeOf(event);
      setCorners({ x0: x, y0: y, x1: x, y1: y });
    },
    onPointerUp: (event: PointerEvent) => end(event, true),
    onPointerCancel: (event: PointerEvent) => end(event, false),
  };
  const move = (event: PointerEvent): boolean => {
    if (event.pointerId !== pointer.current || !corners) return false;
    const { x, y } = placeOf(event);
    setCorners({ ...corners, x1: x, y1: y });
    return true;
  };
  return { corners, handlers, move };
}

const isRectangle = ({ x0, y0, x1, y1 }: Corners): boolean =>
  Math.abs(x1 - x0) > LEAST && Math.abs(y1 - y0) > LEAST;

export function Band({ corners: { x0, y0, x1, y1 } }: { corners: Corners }) {
  const px = (n: number) => `${n}px`;
  return (
    <span
      class="hs-band"
      data-hs="band"
      style={{
        left: px(Math.min(x0, x1)),
        top: px(Math.min(y0, y1)),
        width: px(Math.abs(x1 - x0)),
        height: px(Math.abs(y1 - y0)),
      }}
    />
  );
}
