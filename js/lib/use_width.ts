import { createContext } from "preact";
import { useContext, useLayoutEffect, useState } from "preact/hooks";

/** The width of the view that a component stands in. Most components are as wide, so they draw only once. */
export const Room = createContext(640);

/** The width of an element's content, kept up to date. It is not read at once, since that forces a layout of the whole
 *  page in the middle of the drawing; the observer reports it before the next paint. */
export function useWidth(ref: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(useContext(Room));
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    const observer = new ResizeObserver((entries) => {
      const inside = Math.round(entries.at(-1)?.contentRect.width ?? 0);
      if (inside > 0) setWidth(inside);
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [ref]);
  return width;
}
