import { useState } from "preact/hooks";

/** Preact's own useId counts anew in every widget on a page. */
export function useUniqueId(): string {
  const [id] = useState(() => `hs-${Math.random().toString(36).slice(2, 10)}`);
  return id;
}
