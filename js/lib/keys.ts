// What keys do in views: where arrows lead, and that a used key does nothing else.
import { useState } from "preact/hooks";

/** Handles keys that are pressed without Ctrl, Alt or Meta. `act` returns whether it has used the key. */
export function keyHandler(act: (event: KeyboardEvent) => boolean) {
  return (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || !act(event)) return;
    event.preventDefault();
    event.stopPropagation();
  };
}

export const isChoosing = ({ key }: KeyboardEvent): boolean => key === "Enter" || key === " ";

/** The index in a line of `n` that a key leads to; null for keys that lead nowhere. */
export function indexAfterKey(key: string, at: number | null, n: number): number | null {
  const next = { ArrowRight: (at ?? -1) + 1, ArrowLeft: (at ?? 1) - 1, Home: 0, End: n - 1 }[key];
  return next === undefined ? null : Math.min(n - 1, Math.max(0, next));
}

/** The cell of a table that a key leads to. */
export function cellInTable(key: string, row: number, column: number, rows: number, columns: number) {
  const to = indexAfterKey(key, column, columns);
  if (to !== null) return { row, column: to };
  const by = { ArrowDown: 1, ArrowUp: -1 }[key];
  return by ? { row: Math.min(rows - 1, Math.max(0, row + by)), column } : null;
}

/** Among buttons of which one is chosen: arrows choose the next button, or the first one after the last. */
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
