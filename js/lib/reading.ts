// Reading one of many small things with the arrow keys: what has the focus is their whole, like a slider.
import { useState } from "preact/hooks";
import { indexAfterKey, keyHandler } from "./keys";

export function useReading(n: number) {
  const [active, setActive] = useState<number | null>(null);
  const onKeyDown = keyHandler(({ key }) => {
    const next = indexAfterKey(key, active, n);
    if (next !== null) setActive(next);
    return next !== null;
  });
  return { active: active !== null && active < n ? active : null, setActive, onKeyDown };
}
