// Parses answers as typed: one answer, or a set with one answer per line.
import type { Answer, AnswerTokenList } from "./types";

/** Two or more nonempty lines are a set; anything else is one answer, including its line breaks. */
export function answerOf(text: string): Answer {
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.length > 1 ? lines : text;
}

export function textOf(answer: Answer): string {
  return typeof answer === "string" ? answer : answer.join("\n");
}

export function answersIn(answer: Answer): string[] {
  return typeof answer === "string" ? [answer] : answer;
}

/** The tokens of each answer, as indices into the list. */
export function answerGroups({ ids, starts }: AnswerTokenList): number[][] {
  if (ids.length === 0) return [];
  const begins = starts ?? [0];
  return begins.map((begin, i) => range(begin, begins[i + 1] ?? ids.length));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}
