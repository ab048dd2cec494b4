// What is changed in the model, as it is written in the view.
import type { Requests } from "../../wire/requests";

export type Change = Requests["intervene"]["changes"][number];
export type Positions = NonNullable<Change["positions"]>;

/** Where a change applies, in a field: "here", "all", or positions such as "0, 2-4". */
export function positionWords(positions: Positions | undefined): string {
  return typeof positions === "object" ? positions.join(", ") : (positions ?? "here");
}

/** The inverse; a sentence that says what is wrong if it can't be read. */
export function readPositions(text: string, tokens: number): Positions | { wrong: string } {
  const plain = text.trim().toLowerCase();
  if (plain === "here" || plain === "") return "here";
  if (plain === "all" || plain === "everywhere") return "all";
  const found = new Set<number>();
  for (const part of plain.split(/[\s,]+/).filter(Boolean)) {
    const [, first, last] = /^(\d+)(?:[-\u2013](\d+))?$/.exec(part) ?? [];
    const [start, stop] = [Number(first), Number(last ?? first)];
    if (first === undefined || start > stop || stop >= tokens)
      return {
        wrong: `Write here, all, or positions from 0 to ${tokens - 1}, such as 0, 2-4; not \u201c${part}\u201d.`,
      };
    for (let at = start; at <= stop; at++) found.add(at);
  }
  return [...found].sort((a, b) => a - b);
}

/** A change in a field: "×0", "×-2" or "=3.5". */
export const amountWords = ({ scale, value }: Change): string =>
  typeof scale === "number" ? `\u00d7${scale}` : `=${value}`;

/** The inverse; null if it can't be read. A number alone is a factor. */
export function readAmount(text: string): Pick<Change, "scale" | "value"> | null {
  const [, sign, digits] = /^\s*([=\u00d7*x]?)\s*([-\u2212+]?[\d.]+(?:e[-+]?\d+)?)\s*$/i.exec(text) ?? [];
  const number = Number(digits?.replace("\u2212", "-") || Number.NaN);
  if (!Number.isFinite(number)) return null;
  return sign === "=" ? { value: number } : { scale: number };
}

/** The list with what is said of one node; what is not said of it stays, but an amount replaces the other kind. */
export function withChange(changes: readonly Change[], said: Change): Change[] {
  if (!changes.some(({ node }) => node === said.node)) return [...changes, said];
  return changes.map((one) => (one.node === said.node ? edited(one, said) : one));
}

function edited({ positions, ...rest }: Change, said: Change): Change {
  const amount = hasAmount(said) ? {} : rest;
  return { ...(positions ? { positions } : {}), ...amount, ...said };
}

const hasAmount = ({ scale, value }: Change): boolean => typeof (scale ?? value) === "number";
