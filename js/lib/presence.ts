// Tells Python which views are on a page: a view that no page shows need not be computed for.
import type { ViewModel } from "./model";
import { randomId } from "./unique_id";

/** Says that a view is shown; returns what says that it is gone. Nobody waits for an answer. */
export function announce(model: ViewModel): () => void {
  if (model.readonly) return () => {};
  const view = randomId();
  const tell = (method: "shown" | "hidden") => {
    try {
      model.send({ kind: "request", id: `${view}-${method}`, method, params: { view } });
    } catch {
      // The kernel was restarted or has closed the widget: it computes nothing for this view anyway.
    }
  };
  tell("shown");
  return () => tell("hidden");
}
