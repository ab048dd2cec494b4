// Moving and enlarging the picture. A gesture moves the drawn picture as a whole; once it ends, edges are drawn anew at
// the size that they then have.
import { select } from "d3-selection";
import { type ZoomTransform, zoom, zoomIdentity } from "d3-zoom";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Box, Layout } from "./layout";

const MOST = 4;
const STEP = 1.5;
/** Around a node that is brought into sight. */
const MARGIN = 24;

type Ref = { readonly current: HTMLElement | null };

export interface Zoom {
  /** Since the last gesture ended. */
  scale: number;
  /** Whether all of the picture is in sight as large as it is, so that nothing has to be offered. */
  whole: boolean;
  by(factor: number): void;
  fit(): void;
  /** Brings a node into sight. */
  reveal(box: Box): void;
}

export const zoomIn = ({ by }: Zoom): void => by(STEP);
export const zoomOut = ({ by }: Zoom): void => by(1 / STEP);

/**
 * @param view the element through which one looks.
 * @param inner the element that moves.
 * @param least the scale at which all of the layout is in sight.
 * @param room the size of the view.
 */
export function useZoom(
  view: Ref,
  inner: Ref,
  layout: Layout,
  least: number,
  room: { width: number; height: number },
): Zoom {
  const [scale, setScale] = useState(least);
  const made = useRef<Behaviour | null>(null);
  useLayoutEffect(() => {
    if (!view.current || !inner.current) return;
    made.current = behave(view.current, inner.current, layout, least, room, made.current, setScale);
  }, [layout, least, room.width, room.height]);
  return {
    scale,
    whole: least === 1 && scale === 1,
    by: (factor) => made.current?.by(factor),
    fit: () => made.current?.fit(),
    reveal: (box) => made.current?.reveal(box),
  };
}

interface Behaviour extends Omit<Zoom, "scale" | "whole"> {
  /** Whether it shows the whole layout. */
  fitted(): boolean;
}

function behave(
  view: HTMLElement,
  inner: HTMLElement,
  layout: Layout,
  least: number,
  room: { width: number; height: number },
  before: Behaviour | null,
  onEnd: (scale: number) => void,
): Behaviour {
  let at: ZoomTransform = zoomIdentity;
  const movable = () => at.k > least * 1.001;
  const mayBegin = (event: Event): boolean => {
    // Without Ctrl, which pinching on a touchpad also sets, the wheel scrolls the page.
    if (event.type === "wheel") return (event as WheelEvent).ctrlKey;
    if ((event as TouchEvent).touches?.length > 1) return true;
    const { button = 0, shiftKey, ctrlKey } = event as MouseEvent;
    return movable() && !button && !shiftKey && !ctrlKey && !(event.target as Element).closest("button");
  };
  const moving = zoom<HTMLElement, unknown>()
    .scaleExtent([least, MOST])
    .extent([
      [0, 0],
      [room.width, room.height],
    ])
    .translateExtent([
      [0, 0],
      [Math.max(layout.width, room.width / least), Math.max(layout.height, room.height / least)],
    ])
    .filter(mayBegin)
    .on("start", ({ sourceEvent }) => {
      if (sourceEvent) inner.dataset.moving = "true";
    })
    .on("zoom", ({ transform }) => {
      at = transform;
      inner.style.transform = `translate(${at.x}px, ${at.y}px) scale(${at.k})`;
      inner.dataset.small = String(at.k < READABLE);
      view.dataset.movable = String(movable());
    })
    .on("end", () => {
      delete inner.dataset.moving;
      onEnd(at.k);
    });
  const element = select(view);
  element.call(moving).on("dblclick.zoom", null);
  const behaviour: Behaviour = {
    by: (factor) => moving.scaleBy(element, factor),
    fit: () => moving.transform(element, zoomIdentity.scale(least)),
    reveal({ x, y, width }) {
      const [half, up] = [width / 2 + MARGIN, MARGIN];
      const [left, top] = at.apply([x - half, y - up]);
      const [right, bottom] = at.apply([x + half, y + up]);
      const by = (low: number, high: number, size: number) =>
        (low < 0 ? -low : Math.min(0, size - high)) / at.k;
      moving.translateBy(element, by(left, right, room.width), by(top, bottom, room.height));
    },
    fitted: () => !movable(),
  };
  // Another circuit is shown whole, unless the reader has gone closer.
  if (before === null || before.fitted()) behaviour.fit();
  else behaviour.by(1);
  return behaviour;
}

/** Names in smaller nodes would be too small to read. */
const READABLE = 0.7;
