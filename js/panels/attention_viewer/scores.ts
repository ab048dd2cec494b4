// The scores of each head, such as how much it behaves like an induction head.
import { fixed } from "../../lib/format";
import { type ArrayJson, decodeFloats } from "../../lib/ndarray";
import type { Attention, Head } from "./result";

export interface ScoreJson {
  name: string;
  label: string;
  help: string;
  on: "prompt" | "random";
  descending: boolean;
  values: ArrayJson;
  spread?: ArrayJson | null;
}

export interface Score extends Omit<ScoreJson, "values" | "spread"> {
  /** The score of each head, by index. */
  values: Float32Array;
  spread: Float32Array | null;
}

export const ON = { prompt: "on this prompt", random: "on repeated random tokens" };

/** What a head does on repeated random tokens, by which it is named. */
export interface Role {
  layer: number;
  head: number;
  role: string;
  score: number;
}

/** "induction head: 0.83 on repeated random tokens"; empty if the head has no role. */
export function roleWords(roles: readonly Role[], [layer, head]: Head): string {
  const found = roles.find((one) => one.layer === layer && one.head === head);
  return found ? `${found.role} head: ${fixed(found.score)} ${ON.random}` : "";
}

/** Scores of a result with another shape are left out. */
export function decodeScores(list: ScoreJson[] | null | undefined, attention: Attention | null): Score[] {
  const scores = (list ?? []).map((json) => ({
    ...json,
    values: decodeFloats(json.values),
    spread: json.spread ? decodeFloats(json.spread) : null,
  }));
  return scores.filter(({ values }) => values.length === attention?.count);
}

/** "previous token 0.93 · induction 0.02"; empty if nothing has been measured. */
export function scoreWords(scores: Score[], on: Score["on"], head: number): string {
  const measured = scores.filter((score) => score.on === on);
  return measured
    .map((score) => `${score.label} ${fixed(score.values[head])}${around(score, head)}`)
    .join(" \u00b7 ");
}

function around({ spread }: Score, head: number): string {
  const size = spread?.[head];
  return size !== undefined && Number.isFinite(size) ? ` \u00b1 ${fixed(size)}` : "";
}
