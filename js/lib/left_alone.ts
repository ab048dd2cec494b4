// When a notebook may store a picture of a view: its result is complete, and nobody sees the view, which the notebook
// draws anew when the picture comes.
import { listen, type Status, trait, type ViewModel } from "./model";
import { randomId } from "./unique_id";

const QUIET_MS = 1500;

export function whenLeftAlone(model: ViewModel, host: HTMLElement): () => void {
  // Only views of results have a result, and only the kernel can store a picture.
  if (model.readonly || model.get("asked") === undefined || model.get("result") === undefined)
    return () => {};
  let timer: ReturnType<typeof setTimeout>;
  let inSight = true;
  const wait = () => {
    clearTimeout(timer);
    const seen = (inSight && !document.hidden) || host.matches(":focus-within");
    if (!seen && trait<Status>(model, "status") === "done") timer = setTimeout(ask, QUIET_MS);
  };
  const ask = () => {
    holdHeight(host.closest<HTMLElement>(".jp-OutputArea"));
    try {
      model.send({ kind: "request", id: `${randomId()}-picture`, method: "picture", params: {} });
    } catch {
      // The kernel is gone, and the notebook keeps what it has.
    }
  };
  const observer = new IntersectionObserver((entries) => {
    inSight = entries.at(-1)?.isIntersecting ?? true;
    wait();
  });
  observer.observe(host);
  document.addEventListener("visibilitychange", wait);
  const stops = ["status", "result"].map((name) => listen(model, `change:${name}`, wait));
  return () => {
    clearTimeout(timer);
    observer.disconnect();
    document.removeEventListener("visibilitychange", wait);
    for (const stop of stops) stop();
  };
}

/** So that the page does not jump while the view is drawn anew. */
function holdHeight(area: HTMLElement | null): void {
  if (!area) return;
  area.style.minHeight = `${area.offsetHeight}px`;
  setTimeout(() => area.style.removeProperty("min-height"), 2 * QUIET_MS);
}
