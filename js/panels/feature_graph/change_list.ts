// What is changed in the model, as it is written in the view.
import type { Requests } from "../../wire/requests";

export type Change = Requests["intervene"]["changes"][number];

/** Where a change applies: "here", "everywhere", or "at 0, 2". */
export function positionWords(positions: Change["positions"]): string {
  if (typeof positions === "object") return `at ${positions.join(", ")}`;
  return positions === "all" ? "everywhere" : "here";
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
