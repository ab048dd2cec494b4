// Inside the frame of hookscope.circuitsvis's HTML: as high as the view in it, on the ground of the page around it.
import { groundBehind, observeTheme, pageIsDark } from "../../lib/theme";

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

/** Pages without a ground of their own are white, or as dark as they say. */
function followGround(frame: HTMLElement): void {
  const page = frame.ownerDocument;
  const follow = () => {
    document.body.style.background = groundBehind(frame) ?? (pageIsDark(page) ? "#1b1d20" : "#ffffff");
  };
  follow();
  observeTheme(page, follow);
}
