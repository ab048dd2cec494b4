// Describes the lens's cells and sums in words.
import { fixed, signed } from "../../lib/format";
import type { Attributed, Attribution } from "./attribution";
import { colorWords, type Scaled, valueWords } from "./measures";
import type { Lens } from "./result";
import { isLoaded, readAt, type Shown, tokenText } from "./sides";

export function layerWords({ json }: Lens, row: number): string {
  return rowWords(json.labels[row] ?? "");
}

export function rowWords(label: string): string {
  return /^\d/.test(label) ? `layer ${label}` : label;
}

/** A cell's text for screen readers: "layer 2, position 5 ' is', ' Oslo' 0.98, entropy 0.10 nats". */
export function describeCell(
  lens: Lens,
  shown: Shown,
  scaled: Scaled | null,
  row: number,
  position: number,
): string {
  const place = `${layerWords(lens, row)}, position ${position} '${shown.first.tokens[position]}'`;
  if (!isLoaded(shown, position)) return `${place}, not loaded yet`;
  const tops = readAt(shown, position).map(({ side, position: at }) => {
    const cell = (row * side.positions + at) * side.k;
    const name = shown.second ? `${side.name} ` : "";
    return `${name}'${tokenText(lens, side.top_ids[cell] ?? -1)}' ${fixed(side.top_probs[cell])}`;
  });
  const plain = scaled?.measure === "probability" && !scaled.diverging;
  const value = scaled && !plain ? valueWords(shown, scaled, row, position) : null;
  return [place, ...tops, value].filter(Boolean).join(", ");
}

/** The subtitle, which says how to read the grid. */
export function lensWords(lens: Lens | null, shown: Shown | null, scaled: Scaled | null): string {
  const what = "most likely next token after each layer";
  if (!lens || !shown || !scaled) return what;
  return `${what}; colour: ${colorWords(lens, scaled)}`;
}

/** "sums to +9.12 logit difference" */
export function sumWords({ json }: Attribution, shown: Attributed): string {
  const side = shown.name === "difference" ? ", clean \u2212 corrupt" : "";
  const note = json.note ? ` ${json.note}` : "";
  return `sums to ${signed(shown.total)} ${json.quantity}${note}${side}`;
}
