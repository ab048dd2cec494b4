// The top and bottom tokens as Python sends them, and the lines of the table that are shown.
import { decodeInts } from "../../lib/ndarray";
import { range } from "../../lib/range";
import { plainCell } from "../../lib/table";
import {
  decodeNumbers,
  exact,
  extremesOf,
  type Numbers,
  plainNumber,
  type TopsFigure,
  type TopsPart,
} from "./figure";

/** The top k or the bottom k, in descending order. */
export interface End {
  name: "top" | "bottom";
  k: number;
  values: Numbers;
  at: Int32Array;
}

export interface Tops {
  top: End;
  bottom: End;
  low: number;
  high: number;
}

/** A line of the table: which end it belongs to, and its index there. */
export interface Line {
  end: End;
  index: number;
}

export interface Shown {
  sample: number;
  layer: number;
  /** The first column, and how many. */
  start: number;
  size: number;
  k: number;
  filter: string;
  columns: number[];
  lines: Line[];
}

/** The k largest come first in the top, and the k smallest come last in the bottom. */
export function linesOf(end: End, k: number): Line[] {
  const kept = Math.min(k, end.k);
  const from = end.name === "top" ? 0 : end.k - kept;
  return range(kept).map((i) => ({ end, index: from + i }));
}

export function decodeTops(part: TopsPart): Tops {
  const top = endOf("top", part.top, part.top_at);
  const bottom = endOf("bottom", part.bottom, part.bottom_at);
  return { top, bottom, ...extremesOf([...top.values, ...bottom.values]) };
}

function endOf(name: End["name"], values: TopsPart["top"], at: TopsPart["top"]): End {
  return { name, k: at.shape[0] ?? 0, values: decodeNumbers(values), at: decodeInts(at) };
}

export function rankWords({ end, index }: Line): string {
  return end.name === "top" ? `top ${index + 1}` : `bottom ${end.k - index}`;
}

export function entryOf(figure: TopsFigure, { sample }: Shown, { end, index }: Line, column: number) {
  const at = index * (figure.columns[sample] ?? 1) + column;
  const position = end.at[at] ?? -1;
  const token = figure.tokens[sample]?.[position] ?? "";
  return {
    token,
    position,
    value: end.values[at] ?? Number.NaN,
    text: exact(end.values, at),
    plain: plainNumber(end.values, at),
  };
}

export function rowsOf(figure: TopsFigure, shown: Shown): string[][] {
  const rows = shown.lines.flatMap((line) =>
    shown.columns.map((column) => {
      const { token, position, plain } = entryOf(figure, shown, line, column);
      return [rankWords(line), String(column), String(position), plainCell(token), plain];
    }),
  );
  return [["rank", figure.names[1], "position", "token", "activation"], ...rows];
}
