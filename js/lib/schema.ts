// What outlives the code that wrote it: the version of widgets' traits and of results, and the states of cells.
import { trait, type ViewModel } from "./model";

/** The version of traits and results; the same as SCHEMA in widgets/hookscope/panel.py and in Python's results. */
export const SCHEMA = 1;

export const EMPTY = 0;
export const COMPUTED = 1;
/** Both activations are equal, so that patching has exactly no effect. */
export const EQUAL = 2;
/** No token of the other prompt corresponds, so that nothing was patched. */
export const ALONE = 3;
/** The source comes later than the position that looks. Python has no such state: only views do. */
export const FUTURE = 4;

/** Why a view can't show a model's state, as a sentence that says what to do; null if it can. */
export function savedByAnother(model: ViewModel, needs: readonly string[]): string | null {
  const schema = model.get("schema");
  if (schema === SCHEMA && needs.every((name) => model.get(name) !== undefined)) return null;
  const version = typeof schema === "number" && schema > SCHEMA ? "a newer" : "an older";
  return `This was saved by ${version} Hookscope; run the cell again.`;
}

/** A decoded result, or the sentence that says why it can't be shown. */
export interface Decoded<T> {
  value: T | null;
  problem: string | null;
}

/** The result in a trait. */
export function readResult<Json extends { schema_version: number }, T>(
  model: ViewModel,
  name: string,
  decode: (json: Json) => T,
): Decoded<T> {
  const json = trait<Json | null | undefined>(model, name);
  if (!json) return { value: null, problem: null };
  try {
    checkSchema(json.schema_version);
    return { value: decode(json), problem: null };
  } catch (error) {
    return { value: null, problem: error instanceof Error ? error.message : String(error) };
  }
}

function checkSchema(version: number): void {
  if (version === SCHEMA) return;
  throw new Error(
    `This result has format ${version}, and this version of Hookscope reads format ${SCHEMA}.` +
      " Open it with the version that made it, or run it again.",
  );
}
