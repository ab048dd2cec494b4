// Describes heads, cells and numbers in words.
import { count, withMinus } from "../../lib/format";
import { visibleText } from "../../lib/tokens";
import type { Attention, SideName } from "./result";
import type { Scaling } from "./scale";
import type { Scene } from "./scene";
import { ON, type Score, scoreWords } from "./scores";

/** A number with four significant digits. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return "\u2013";
  if (value === 0) return "0";
  const size = Math.abs(value);
  return withMinus(
    size < 0.0005 ? value.toExponential(1) : size < 10 ? value.toFixed(4) : value.toPrecision(5),
  );
}

/** "␣Norway (8)" */
export function tokenWords(tokens: readonly string[], position: number): string {
  return `${visibleText(tokens[position] ?? "")} (${position})`;
}

/** A cell's value, or the reason why it has none. */
export function valueWords(value: number | undefined, side: SideName): string {
  if (value === Number.POSITIVE_INFINITY) return "masked";
  if (value !== undefined && Number.isFinite(value)) return short(value);
  return side === "difference" ? "no counterpart in the corrupt prompt" : "not a number";
}

/** A head, described for screen readers. */
export function headWords(attention: Attention, scores: Score[], opened: number[], head: number): string {
  const state = opened.includes(head) ? ["opened"] : [];
  const random = scoreWords(scores, "random", head);
  const words = [scoreWords(scores, "prompt", head), random && `${ON.random}: ${random}`];
  return [attention.titleOf(head), ...state, ...words].filter(Boolean).join(", ");
}

/** The subtitle, which says what is shown and how to read it. */
export function subtitleOf({ attention, side, scaling }: Scene, kind: string): string {
  const tokens = attention.tokensOf(side).length;
  const sides = { prompt: "", clean: "clean", corrupt: "corrupt", difference: "clean \u2212 corrupt" };
  return [
    kind,
    sides[side],
    count(attention.count, "head"),
    count(tokens, "token"),
    `rows attend to columns, ${scaleWords(scaling)}`,
  ]
    .filter(Boolean)
    .join(" \u00b7 ");
}

function scaleWords({ name, signed, withoutFirst }: Scaling): string {
  const left = withoutFirst ? ", the first token left out" : "";
  const strong = signed ? "blue is positive, orange negative" : "stronger colours are larger values";
  if (name === "log") return `${strong}, on a log scale${left}`;
  return name === "linear" ? strong + left : `${strong}, each ${name} by its largest value${left}`;
}
