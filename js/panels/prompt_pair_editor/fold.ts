// Long runs of equal tokens are folded into one chip, so that the tokens that differ are in view.
import type { Column } from "./types";

/** The number of columns that each fold covers, by its first column. */
export type Folds = ReadonlyMap<number, number>;

/** Fewer tokens than this are worth their room. */
const WORTH_FOLDING = 12;
/** Equal tokens that stay beside one that differs, since they are its context. */
const CONTEXT = 4;

export const NO_FOLDS: Folds = new Map();

export function foldsOf(columns: readonly Column[]): Folds {
  const folds = new Map<number, number>();
  const differ = columns.flatMap(({ same }, i) => (same ? [] : [i]));
  if (differ.length === 0) return folds;
  // Between one difference and the next, and before the first and after the last.
  const ends = [...differ, columns.length + CONTEXT];
  let from = 0;
  for (const end of ends) {
    const to = end - CONTEXT;
    if (to - from >= WORTH_FOLDING) folds.set(from, to - from);
    from = end + 1 + CONTEXT;
  }
  return folds;
}

/** Whether each column is covered by a fold. */
export function covered(columns: readonly Column[], folds: Folds): boolean[] {
  const inside = columns.map(() => false);
  for (const [from, n] of folds) inside.fill(true, from, from + n);
  return inside;
}
