// What all results from Python have in common: the number of their format, and the states of their cells.
import { trait, type ViewModel } from "./model";

const SCHEMA = 1;

export const EMPTY = 0;
export const COMPUTED = 1;
/** Both activations are equal, so that patching has exactly no effect. */
export const EQUAL = 2;
/** No token of the other prompt corresponds, so that nothing was patched. */
export const ALONE = 3;
/** The source comes later than the position that looks. Python has no such state: only views do. */
export const FUTURE = 4;

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
