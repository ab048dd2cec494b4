// What changes of features do to the next token, as Python sends it.
import { type ArrayJson, decodeFloats, decodeInts } from "../../lib/ndarray";
import type { ResultEnvelope } from "../../lib/schema";

export interface EffectsJson extends ResultEnvelope {
  tokens: ArrayJson;
  texts: string[];
  before: ArrayJson;
  after: ArrayJson;
  measured: ArrayJson;
  predicted: ArrayJson;
  activations: ArrayJson;
  without: string[];
  with_changes: string[];
  warnings: string[];
}

export interface TokenEffect {
  id: number;
  text: string;
  before: number;
  after: number;
  measured: number;
  /** What the graph says; NaN if it says nothing of this token. */
  predicted: number;
}

export interface Effects {
  json: EffectsJson;
  tokens: readonly TokenEffect[];
  /** The correlation of what is predicted and what is measured; null if fewer than three tokens have both. */
  agreement: number | null;
}

export function decodeEffects(json: EffectsJson): Effects {
  const [before, after, measured, predicted] = [json.before, json.after, json.measured, json.predicted].map(
    decodeFloats,
  ) as [Float32Array, Float32Array, Float32Array, Float32Array];
  const tokens = [...decodeInts(json.tokens)].map((id, i) => ({
    id,
    text: json.texts[i] ?? "",
    before: before[i] ?? Number.NaN,
    after: after[i] ?? Number.NaN,
    measured: measured[i] ?? Number.NaN,
    predicted: predicted[i] ?? Number.NaN,
  }));
  return {
    json,
    tokens,
    agreement: correlation(tokens.filter(({ predicted }) => Number.isFinite(predicted))),
  };
}

function correlation(tokens: readonly TokenEffect[]): number | null {
  if (tokens.length < 3) return null;
  const mean = (of: (one: TokenEffect) => number) =>
    tokens.reduce((sum, one) => sum + of(one), 0) / tokens.length;
  const [predicted, measured] = [mean((one) => one.predicted), mean((one) => one.measured)];
  let [both, a, b] = [0, 0, 0];
  for (const one of tokens) {
    const [x, y] = [one.predicted - predicted, one.measured - measured];
    both += x * y;
    a += x * x;
    b += y * y;
  }
  return a > 0 && b > 0 ? both / Math.sqrt(a * b) : null;
}
