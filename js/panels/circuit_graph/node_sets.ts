// What was asked of some nodes, and the answer.

import type { ArrayJson } from "../../lib/ndarray";
import { decodeFloats } from "../../lib/ndarray";
import type { ResultEnvelope } from "../../lib/schema";
import { decodeRobustness, type Robustness, type RobustnessJson } from "./runs";

export interface Question {
  what: string;
  nodes: string[];
}

interface EffectsJson extends ResultEnvelope {
  params: { direction: string };
  normalized: ArrayJson;
}

export type AnswerJson = EffectsJson | RobustnessJson;

/** An answer: how much of the gap some nodes carry, the first number for all of them, or how much is kept. */
export type Answer = { carried: Float32Array } | { kept: Robustness };

export function decodeAnswer(json: AnswerJson): Answer {
  if ("ablations" in json) return { kept: decodeRobustness(json) };
  const towardsClean = json.params.direction === "denoise" ? 1 : -1;
  return { carried: decodeFloats(json.normalized).map((one) => towardsClean * one) };
}
