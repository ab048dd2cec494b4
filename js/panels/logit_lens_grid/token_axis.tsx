// The tokens under the columns. A drag, or Shift with the arrow keys, chooses the columns to keep.
import type { RefObject } from "preact";
import { useRef, useState } from "preact/hooks";
import { keyHandler } from "../../lib/keys";
import { visibleText } from "../../lib/tokens";

type Columns = readonly [start: number, stop: number];

interface TokenAxisProps {
  canvas: RefObject<HTMLCanvasElement>;
  canvasWidth: number;
  /** The tokens of all columns. */
  width: string;
  tokens: string[];
  columns: Columns;
  cellWidth: number;
  chosen: Columns | null;
  onChoose(chosen: Columns | null): void;
  onColumns(columns: Columns): void;
  reveal(position: number): void;
}

/** A press that moves less than this, in pixels, is a click. */
const DRAG = 4;

export function TokenAxis(props: TokenAxisProps) {
  const { canvas, canvasWidth, width, tokens, columns, chosen } = props;
  const [at, setAt] = useState<number | null>(null);
  const here = Math.min(columns[1] - 1, Math.max(columns[0], at ?? columns[0]));
  const pointer = usePointerRange(props);
  const onKeyDown = useKeys(props, here, setAt);
  return (
    <div
      class="hs-column-labels hs-token-axis hs-focusable"
      data-hs="axis"
      role="slider"
      tabIndex={0}
      aria-label="Token axis: drag, or press Shift with the arrow keys and then Enter, to show only some columns"
      aria-valuemin={columns[0]}
      aria-valuemax={columns[1] - 1}
      aria-valuenow={here}
      aria-valuetext={spoken(tokens, here, chosen)}
      style={{ width }}
      onKeyDown={onKeyDown}
      onBlur={() => props.onChoose(null)}
      {...pointer}
    >
      <canvas ref={canvas} style={{ width: `${canvasWidth}px`, height: "var(--hs-footer)" }} />
    </div>
  );
}

function spoken(tokens: string[], position: number, chosen: Columns | null): string {
  const token = `position ${position} ${visibleText(tokens[position] ?? "")}`;
  return chosen ? `${token}, ${chosen[1] - chosen[0]} columns chosen, Enter shows only them` : token;
}

function between(a: number, b: number): Columns {
  return [Math.min(a, b), Math.max(a, b) + 1];
}

function usePointerRange({ columns, cellWidth, chosen, onChoose, onColumns }: TokenAxisProps) {
  const start = useRef<{ x: number; position: number } | null>(null);
  const positionOf = (event: PointerEvent) => {
    const { left } = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const column = Math.floor((event.clientX - left) / cellWidth);
    return Math.min(columns[1] - 1, columns[0] + Math.max(0, column));
  };
  const end = () => {
    start.current = null;
    onChoose(null);
  };
  return {
    onPointerDown(event: PointerEvent) {
      // A touch scrolls.
      if (event.button !== 0 || event.pointerType === "touch") return;
      start.current = { x: event.clientX, position: positionOf(event) };
    },
    onPointerMove(event: PointerEvent) {
      if (!start.current || (!chosen && Math.abs(event.clientX - start.current.x) < DRAG)) return;
      (event.currentTarget as HTMLElement).setPointerCapture?.(event.pointerId);
      onChoose(between(start.current.position, positionOf(event)));
    },
    onPointerUp() {
      if (start.current && chosen) onColumns(chosen);
      end();
    },
    onPointerCancel: end,
  };
}

function useKeys(props: TokenAxisProps, here: number, move: (position: number) => void) {
  const { columns, chosen, onChoose, onColumns, reveal } = props;
  const anchor = useRef(here);
  return keyHandler((event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -columns[1], End: columns[1] }[event.key];
    if (by !== undefined) {
      const next = Math.min(columns[1] - 1, Math.max(columns[0], here + by));
      if (!chosen) anchor.current = here;
      onChoose(event.shiftKey ? between(anchor.current, next) : null);
      move(next);
      reveal(next);
    } else if (event.key === "Enter" && chosen) onColumns(chosen);
    else if (event.key !== "Escape" || !chosen) return false;
    if (by === undefined) onChoose(null);
    return true;
  });
}
