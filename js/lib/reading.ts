// Reading one of many small things with the arrow keys: what has the focus is their whole, like a slider.
import { useState } from "preact/hooks";

export function useReading(n: number) {
  const [active, setActive] = useState<number | null>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    const next = { ArrowRight: (active ?? -1) + 1, ArrowLeft: (active ?? 1) - 1, Home: 0, End: n - 1 };
    if (!(event.key in next) || event.ctrlKey || event.metaKey || event.altKey) return;
    setActive(Math.min(n - 1, Math.max(0, next[event.key as keyof typeof next])));
    event.preventDefault();
    event.stopPropagation();
  };
  return { active: active !== null && active < n ? active : null, setActive, onKeyDown };
}
