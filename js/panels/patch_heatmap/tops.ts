// The likeliest next tokens of the clean, the patched and the corrupt run.
import { ALONE, EMPTY, EQUAL } from "../../lib/schema";
import { type TopArrays, topTokens } from "../../lib/top_arrays";
import type { Tone, TopToken } from "../../lib/top_tokens";
import { baseRun } from "./places";
import type { Run, Sweep } from "./result";

export function topOfRun(sweep: Sweep, run: Run): TopToken[] | null {
  return topOf(sweep, sweep.topRuns[run]);
}

export function topOfCell(sweep: Sweep, cell: number): TopToken[] | null {
  if (isUnchanged(sweep, cell)) return topOfRun(sweep, baseRun(sweep));
  const { top } = sweep;
  if (!top || sweep.state[cell] === EMPTY || !Number.isFinite(top.probs[cell * top.k])) return null;
  return topOf(sweep, top, cell);
}

/** The metric's value in the patched run. */
export function valueOfCell(sweep: Sweep, cell: number): number | null {
  if (sweep.state[cell] === EMPTY) return null;
  return isUnchanged(sweep, cell) ? sweep.json.baselines[baseRun(sweep)] : (sweep.values[cell] ?? null);
}

function isUnchanged({ state }: Sweep, cell: number): boolean {
  return state[cell] === EQUAL || state[cell] === ALONE;
}

function topOf(sweep: Sweep, top: TopArrays | undefined, index = 0): TopToken[] | null {
  const textOf = (id: number) => sweep.tokens[id] ?? `#${id}`;
  return top ? topTokens(top, textOf, (token) => toneOf(sweep, token), index) : null;
}

function toneOf({ json }: Sweep, token: string): Tone | null {
  const isAnswer = (run: Run) => {
    const { answer, answers } = json.prompts[run];
    return answer === token || answers?.includes(token);
  };
  if (isAnswer("clean")) return "clean";
  return isAnswer("corrupt") ? "corrupt" : null;
}
