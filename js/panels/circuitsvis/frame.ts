// Inside the frame of hookscope.circuitsvis's HTML: as high as the view in it, on the ground of the page around it.
import { parseColor } from "../../lib/color";

/** Does nothing on a page of its own, or where the page around it can't be looked at. */
export function fitFrame(): void {
  const frame = ownFrame();
  if (!frame) return;
  const fit = () => {
    const { height } = document.body.getBoundingClientRect();
    if (height > 0) frame.style.height = `${Math.ceil(height)}px`;
  };
  new ResizeObserver(fit).observe(document.body);
  followGround(frame);
}

function ownFrame(): HTMLElement | null {
  try {
    return window.frameElement as HTMLElement | null;
  } catch {
    return null;
  }
}

function followGround(frame: HTMLElement): void {
  const follow = () => {
    document.body.style.background = groundBehind(frame);
  };
  follow();
  const around = frame.ownerDocument;
  const observer = new MutationObserver(follow);
  const attributes = {
    attributes: true,
    attributeFilter: ["class", "style", "data-jp-theme-name", "data-theme"],
  };
  observer.observe(around.documentElement, attributes);
  if (around.body) observer.observe(around.body, attributes);
}

/** The first opaque ground behind the frame; pages that have none are white, or as dark as they say. */
function groundBehind(frame: HTMLElement): string {
  const around = frame.ownerDocument.defaultView ?? window;
  for (let node: Element | null = frame.parentElement; node; node = parentOf(node)) {
    const { backgroundColor } = around.getComputedStyle(node);
    if ((parseColor(backgroundColor)?.[3] ?? 0) > 0.9) return backgroundColor;
  }
  const schemes = around.getComputedStyle(frame.ownerDocument.documentElement).colorScheme;
  const dark = schemes.includes("dark");
  if (dark && (!schemes.includes("light") || around.matchMedia("(prefers-color-scheme: dark)").matches)) {
    return "#1b1d20";
  }
  return "#ffffff";
}

function parentOf(node: Element): Element | null {
  const root = node.getRootNode();
  return node.parentElement ?? (root instanceof ShadowRoot ? root.host : null);
}
