// Checks traits and results that another version of Hookscope may have saved.
import { SCHEMA_VERSION } from "../wire/requests";
import { trait, type ViewModel } from "./model";

/** Why a view can't show a model's state, as a sentence with the remedy; null if it can. */
export function savedByAnother(model: ViewModel, needs: readonly string[]): string | null {
  const schema = model.get("schema");
  if (schema === SCHEMA_VERSION && needs.every((name) => model.get(name) !== undefined)) return null;
  const version = typeof schema === "number" && schema > SCHEMA_VERSION ? "a newer" : "an older";
  return `This was saved by ${version} Hookscope; run the cell again.`;
}

/** The fields that every result has. */
export interface ResultEnvelope {
  schema_version: number;
  method: string;
  /** The task that computed the result. */
  id: string;
  /** False for a part of a result, from which Python can't read it again. */
  complete?: boolean;
}

/** A decoded result, or a sentence that says why it can't be shown. */
export interface Decoded<T> {
  value: T | null;
  problem: string | null;
}

/** The result in a trait. */
export function readResult<Json extends ResultEnvelope, T>(
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
  if (version === SCHEMA_VERSION) return;
  throw new Error(
    `This result has format ${version}, and this version of Hookscope reads format ${SCHEMA_VERSION}.` +
      " Open it with the version that made it, or run it again.",
  );
}
