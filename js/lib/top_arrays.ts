// The likeliest tokens of runs as they cross from Python: three arrays [..., k], likeliest first.
import { type ArrayJson, decodeFloats, decodeInts } from "./ndarray";
import { range } from "./range";
import type { Tone, TopToken } from "./top_tokens";

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

/** The tokens of one run, which is at `index` among those of the arrays. */
export function topTokens(
  { k, ids, logits, probs }: TopArrays,
  textOf: (id: number) => string,
  toneOf: (token: string) => Tone | null,
  index = 0,
): TopToken[] {
  return range(k).map((i) => {
    const at = index * k + i;
    const id = ids[at] ?? -1;
    const token = textOf(id);
    return { id, token, logit: logits[at] ?? Number.NaN, prob: probs[at] ?? Number.NaN, tone: toneOf(token) };
  });
}
