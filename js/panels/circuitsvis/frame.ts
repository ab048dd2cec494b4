// Runs inside the iframe of hookscope.circuitsvis's HTML: fits its height to the view, and takes the background of the
// page around it.
import { groundBehind, observeTheme, pageIsDark } from "../../lib/theme";

/** Does nothing if there is no surrounding page, or if it can't be accessed. */
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

/** The background of a page. Pages without one are white, or dark if their colour scheme says so. */
function followGround(frame: HTMLElement): void {
  const page = frame.ownerDocument;
  const follow = () => {
    document.body.style.background = groundBehind(frame) ?? (pageIsDark(page) ? "#1b1d20" : "#ffffff");
  };
  follow();
  observeTheme(page, follow);
}
