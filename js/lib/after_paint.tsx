import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { inATask } from "./drawn_later";

/** Draws its children in a task of their own, once what surrounds them has been painted, so that the page answers in
 *  between. Later changes are drawn at once. */
export function AfterPaint({ children }: { children: ComponentChildren }) {
  const [painted, setPainted] = useState(false);
  useEffect(() => inATask(() => setPainted(true)), []);
  return painted ? children : null;
}
