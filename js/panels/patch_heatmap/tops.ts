// The likeliest next tokens of the clean, the patched and the corrupt run.
import { range } from "../../lib/range";
import { ALONE, EMPTY, EQUAL } from "../../lib/schema";
import type { Tone, TopToken } from "../../lib/top_tokens";
import { baseRun } from "./places";
import type { Run, Sweep } from "./result";

export function topOfRun(sweep: Sweep, run: Run): TopToken[] | null {
  const top = sweep.topRuns[run];
  if (!top) return null;
  return Array.from(top.ids, (id, i) => topToken(sweep, id, top.logits[i], top.probs[i]));
}

export function topOfCell(sweep: Sweep, cell: number): TopToken[] | null {
  if (isUnchanged(sweep, cell)) return topOfRun(sweep, baseRun(sweep));
  const { top } = sweep;
  if (!top || sweep.state[cell] === EMPTY || !Number.isFinite(top.probs[cell * top.k])) return null;
  return range(top.k).map((i) => {
    const at = cell * top.k + i;
    return topToken(sweep, top.ids[at] ?? 0, top.logits[at], top.probs[at]);
  });
}

/** The metric's value in the patched run. */
export function valueOfCell(sweep: Sweep, cell: number): number | null {
  if (sweep.state[cell] === EMPTY) return null;
  return isUnchanged(sweep, cell) ? sweep.json.baselines[baseRun(sweep)] : (sweep.values[cell] ?? null);
}

function isUnchanged({ state }: Sweep, cell: number): boolean {
  return state[cell] === EQUAL || state[cell] === ALONE;
}

function topToken(sweep: Sweep, id: number, logit = Number.NaN, prob = Number.NaN): TopToken {
  const token = sweep.tokens[id] ?? `#${id}`;
  return { id, token, logit, prob, tone: toneOf(sweep, token) };
}

function toneOf({ json }: Sweep, token: string): Tone | null {
  const isAnswer = (run: Run) => {
    const { answer, answers } = json.prompts[run];
    return answer === token || answers?.includes(token);
  };
  if (isAnswer("clean")) return "clean";
  return isAnswer("corrupt") ? "corrupt" : null;
}
