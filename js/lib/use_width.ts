import { useLayoutEffect, useState } from "preact/hooks";

const BEFORE_LAYOUT = 640;

/** The width of an element's content, kept up to date. */
export function useWidth(ref: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(BEFORE_LAYOUT);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    const measure = () => {
      if (element.clientWidth > 0) setWidth(element.clientWidth);
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [ref]);
  return width;
}
