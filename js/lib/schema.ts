// States outlive the code that wrote them: a notebook keeps them for years.
import type { ViewModel } from "./model";

/** The version of the traits that widgets sync; the same as SCHEMA in widgets/hookscope/_base.py. */
export const SCHEMA = 1;

/** Why a view can't show a model's state, as a sentence that says what to do; null if it can. */
export function savedByAnother(model: ViewModel, needs: readonly string[]): string | null {
  const schema = model.get("schema");
  if (schema === SCHEMA && needs.every((name) => model.get(name) !== undefined)) return null;
  const version = typeof schema === "number" && schema > SCHEMA ? "a newer" : "an older";
  return `This was saved by ${version} Hookscope; run the cell again.`;
}
