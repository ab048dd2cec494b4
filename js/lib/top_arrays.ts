// The likeliest tokens of runs as they cross from Python: three arrays [..., k], likeliest first.
import { type ArrayJson, decodeFloats, decodeInts } from "./ndarray";

export interface TopJson {
  ids: ArrayJson;
  logits: ArrayJson;
  probs: ArrayJson;
}

export interface TopArrays {
  k: number;
  ids: Int32Array;
  logits: Float32Array;
  probs: Float32Array;
}

export function decodeTop(json: TopJson): TopArrays {
  const k = json.ids.shape.at(-1) ?? 0;
  return { k, ids: decodeInts(json.ids), logits: decodeFloats(json.logits), probs: decodeFloats(json.probs) };
}
