// The cell under the pointer or the keyboard's cursor, and the rectangle that the pointer draws.
import { useRef, useState } from "preact/hooks";
import type { GridProps } from "./grid";
import { type Box, cellAfterKey, cellsIn, firstCell } from "./grid_keys";
import { cellAt, type GridLayout } from "./grid_layout";
import { isChoosing, keyHandler } from "./keys";

/** A press that moves less than this, in pixels, is a click. */
const DRAG = 4;

/** The actions of a grid on its cells. */
type Choosing = Pick<GridProps, "pinned" | "picked" | "onActive" | "onPin" | "onPick">;

/** `place` is where keyboard navigation continues from. */
export function useCursor(props: Choosing, layout: GridLayout, reveal: (index: number) => void) {
  const { pinned, picked, onActive, onPin, onPick } = props;
  const [active, setActive] = useState<number | null>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const cells = layout.panels * layout.rows * layout.columns;
  const inside = (index: number | null) => (index !== null && index < cells ? index : null);
  const show = (index: number | null) => {
    if (index === active) return;
    setActive(index);
    onActive(index);
  };
  const place = inside(cursor) ?? inside(pinned);
  const choose = (index: number, picks: boolean) => {
    if (picks && onPick) onPick(toggled(picked, index));
    else onPin(index === pinned ? null : index);
  };
  const onKeyDown = keyHandler((event) => {
    const next = place === null ? firstCell(layout) : cellAfterKey(layout, place, event.key);
    const moves = cellAfterKey(layout, 0, event.key) !== null;
    if (moves && next !== null) {
      setCursor(next);
      show(next);
      reveal(next);
    } else if (isChoosing(event)) {
      if (place !== null) choose(place, event.shiftKey);
    } else if (event.key === "Escape") {
      if (onPick && picked.length > 0) onPick([]);
      else onPin(null);
      show(null);
    } else return false;
    return true;
  });
  const onClick = (index: number, picks: boolean) => {
    setCursor(index);
    choose(index, picks);
  };
  return { active: inside(active), place, onKeyDown, onPointer: show, onClick, onBlur: () => show(null) };
}

export type Cursor = ReturnType<typeof useCursor>;

/** The pointer's actions over the cells: it hovers, clicks and, by dragging, picks a rectangle. */
export function usePointer({ picked, onPick }: Choosing, layout: GridLayout, cursor: Cursor) {
  const [brush, setBrush] = useState<Box | null>(null);
  const start = useRef<Point | null>(null);
  const brushed = useRef(false);
  const end = () => {
    start.current = null;
    setBrush(null);
  };
  const handlers = {
    onPointerDown(event: PointerEvent) {
      brushed.current = false;
      // A touch scrolls.
      const draws = onPick && event.button === 0 && event.pointerType !== "touch";
      start.current = draws ? pointOf(event) : null;
    },
    onPointerMove(event: PointerEvent) {
      const point = pointOf(event);
      cursor.onPointer(cellAt(layout, point.x, point.y));
      if (!start.current) return;
      const box = boxOf(start.current, point);
      if (!brush && Math.max(box.width, box.height) < DRAG) return;
      (event.currentTarget as HTMLElement).setPointerCapture?.(event.pointerId);
      setBrush(box);
    },
    onPointerUp(event: PointerEvent) {
      const cells = brush ? cellsIn(layout, brush) : [];
      // A drag inside one cell is a click by an unsteady hand.
      brushed.current = cells.length > 1;
      if (brushed.current) onPick?.([...new Set([...(event.shiftKey ? picked : []), ...cells])]);
      end();
    },
    onPointerCancel: end,
    onPointerLeave: () => cursor.onPointer(null),
    onClick(event: MouseEvent) {
      const point = pointOf(event);
      const index = cellAt(layout, point.x, point.y);
      if (index !== null && !brushed.current) cursor.onClick(index, event.shiftKey);
      brushed.current = false;
    },
  };
  return { brush, handlers };
}

interface Point {
  x: number;
  y: number;
}

function pointOf(event: MouseEvent): Point {
  const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

function boxOf(a: Point, b: Point): Box {
  const [left, top] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  return { left, top, width: Math.abs(a.x - b.x), height: Math.abs(a.y - b.y) };
}

function toggled(picked: readonly number[], index: number): number[] {
  return picked.includes(index) ? picked.filter((cell) => cell !== index) : [...picked, index];
}
