// When a notebook may store a picture of a view: its result is complete, and nobody is using the view, which the
// notebook draws anew when the picture comes.
import { listen, type Status, trait, type ViewModel } from "./model";

const QUIET_MS = 1500;

/** So that the page does not jump while the view is drawn anew. */
function holdHeight(area: HTMLElement | null): void {
  if (!area) return;
  area.style.minHeight = `${area.offsetHeight}px`;
  setTimeout(() => area.style.removeProperty("min-height"), 2 * QUIET_MS);
}

export function whenLeftAlone(model: ViewModel, host: HTMLElement): () => void {
  // Only views of results have a result, and only the kernel can store a picture.
  if (model.readonly || model.get("asked") === undefined || model.get("result") === undefined)
    return () => {};
  let timer: ReturnType<typeof setTimeout>;
  const wait = () => {
    clearTimeout(timer);
    if (trait<Status>(model, "status") === "done") timer = setTimeout(ask, QUIET_MS);
  };
  const ask = () => {
    if (host.matches(":hover, :focus-within")) return wait();
    holdHeight(host.closest<HTMLElement>(".jp-OutputArea"));
    try {
      model.send({ kind: "request", id: `${Math.random()}-picture`, method: "picture", params: {} });
    } catch {
      // The kernel is gone, and the notebook keeps what it has.
    }
  };
  const stops = ["status", "result"].map((name) => listen(model, `change:${name}`, wait));
  wait();
  return () => {
    clearTimeout(timer);
    for (const stop of stops) stop();
  };
}
