// Dragging from a token to a token of the other prompt. Meanwhile, the link that a drop would make is drawn.
import { useRef, useState } from "preact/hooks";
import type { TokenAt } from "./alignment";

export interface Drag {
  from: TokenAt;
  /** The token of the other prompt under the pointer. */
  over: TokenAt | null;
  path: string;
}

/** A press that moves less than this, in pixels, is a click. */
const SLOP = 4;

export function useDrag(
  strip: { current: HTMLElement | null },
  onDrop: ((from: TokenAt, to: TokenAt) => void) | null,
) {
  const [drag, setDrag] = useState<Drag | null>(null);
  const press = useRef<{ place: TokenAt; x: number; y: number } | null>(null);
  const end = () => {
    press.current = null;
    setDrag(null);
  };
  const onPointerDown = (event: PointerEvent) => {
    const place = onDrop && event.button === 0 ? tokenOf(event.target) : null;
    press.current = place && { place, x: event.clientX, y: event.clientY };
  };
  const onPointerMove = (event: PointerEvent) => {
    const from = press.current;
    if (!from || !strip.current) return;
    if (event.buttons === 0) return end(); // the button was released outside the page
    if (!drag && Math.hypot(event.clientX - from.x, event.clientY - from.y) < SLOP) return;
    // From here on, the strip gets all pointer events, and no token gets a click.
    if (!drag) strip.current.setPointerCapture(event.pointerId);
    setDrag(dragTo(strip.current, from.place, event));
  };
  const onPointerUp = () => {
    if (drag?.over) onDrop?.(drag.from, drag.over);
    end();
  };
  return { drag, handlers: { onPointerDown, onPointerMove, onPointerUp, onPointerCancel: end } };
}

export function tokenOf(target: EventTarget | null): TokenAt | null {
  const chip = target instanceof Element ? target.closest<HTMLElement>("[data-token]") : null;
  if (!chip) return null;
  return { run: chip.dataset.run as TokenAt["run"], index: Number(chip.dataset.token) };
}

export function chipAt(strip: HTMLElement, { run, index }: TokenAt): HTMLElement | null {
  return strip.querySelector(`[data-run="${run}"][data-token="${index}"]`);
}

function dragTo(strip: HTMLElement, from: TokenAt, { clientX, clientY }: PointerEvent): Drag {
  const page = strip.getRootNode() as Document | ShadowRoot;
  const under = tokenOf(page.elementFromPoint(clientX, clientY));
  const over = under && under.run !== from.run && chipAt(strip, under) ? under : null;
  const box = strip.getBoundingClientRect();
  const inStrip = (x: number, y: number) => [x - box.left, y - box.top + strip.scrollTop] as const;
  const edge = (place: TokenAt) => {
    const chip = chipAt(strip, place)?.getBoundingClientRect() ?? box;
    return inStrip(chip.left + chip.width / 2, place.run === "clean" ? chip.bottom : chip.top);
  };
  return { from, over, path: curve(edge(from), over ? edge(over) : inStrip(clientX, clientY)) };
}

/** A curve that starts and ends vertically, as the links do. */
function curve([x0, y0]: readonly [number, number], [x1, y1]: readonly [number, number]): string {
  const middle = (y0 + y1) / 2;
  return `M${x0} ${y0}C${x0} ${middle} ${x1} ${middle} ${x1} ${y1}`;
}
