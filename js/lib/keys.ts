// Keyboard handling in views: where arrow keys move to, and that a handled key has no other effect.
import { useState } from "preact/hooks";

/** Handles keys pressed without Ctrl, Alt or Meta. `act` returns whether it has handled the key. */
export function keyHandler(act: (event: KeyboardEvent) => boolean) {
  return (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || !act(event)) return;
    event.preventDefault();
    event.stopPropagation();
  };
}

export const isChoosing = ({ key }: KeyboardEvent): boolean => key === "Enter" || key === " ";

/** The index among `n` items in a line that a key moves to; null for keys that don't move. */
export function indexAfterKey(key: string, at: number | null, n: number): number | null {
  const next = { ArrowRight: (at ?? -1) + 1, ArrowLeft: (at ?? 1) - 1, Home: 0, End: n - 1 }[key];
  return next === undefined ? null : Math.min(n - 1, Math.max(0, next));
}

/** The cell of a table that a key moves to. */
export function cellInTable(key: string, row: number, column: number, rows: number, columns: number) {
  const to = indexAfterKey(key, column, columns);
  if (to !== null) return { row, column: to };
  const by = { ArrowDown: 1, ArrowUp: -1 }[key];
  return by ? { row: Math.min(rows - 1, Math.max(0, row + by)), column } : null;
}

/** In a group of buttons of which one is chosen, arrow keys choose the next button and wrap around at the ends. */
export function keysAmong(role: "tab" | "radio", chosen: number, n: number, choose: (index: number) => void) {
  return keyHandler(({ key, currentTarget }) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
    if (!by) return false;
    const next = (chosen + by + n) % n;
    choose(next);
    (currentTarget as HTMLElement).querySelectorAll<HTMLElement>(`[role=${role}]`)[next]?.focus();
    return true;
  });
}

export function useReading(n: number) {
  const [active, setActive] = useState<number | null>(null);
  const onKeyDown = keyHandler(({ key }) => {
    const next = indexAfterKey(key, active, n);
    if (next !== null) setActive(next);
    return next !== null;
  });
  return { active: active !== null && active < n ? active : null, setActive, onKeyDown };
}
