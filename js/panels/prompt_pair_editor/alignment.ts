// Which tokens of the two prompts correspond to each other: links that never cross.
import { across, indexIn, type Place } from "../../lib/place";
import type { Column, Link, Run, Tokens } from "./types";

/** A token of one of the two prompts. */
export interface TokenAt {
  run: Run;
  index: number;
}

export const sameToken = (a: TokenAt | null, b: TokenAt | null): boolean =>
  a?.run === b?.run && a?.index === b?.index;

export const placeOf = (position: number): Place => ({ position, side: "clean" });

/** The position of the clean prompt at a place, which may be in the corrupt prompt. */
export function cellOf(
  { clean, corrupt }: Pick<Tokens, Run>,
  columns: Column[],
  place: Place | null,
): number | null {
  const partner = (index: number) => columns.find((column) => column.corrupt === index)?.clean ?? null;
  const there = across(
    place ?? {},
    "clean",
    corrupt.ids.map((_, index) => partner(index)),
  );
  return indexIn(clean.ids.length, there.position);
}

export const otherRun = (run: Run): Run => (run === "clean" ? "corrupt" : "clean");

/** The link between two tokens; null where both are tokens of the same prompt. */
export function linkBetween(a: TokenAt, b: TokenAt): Link | null {
  if (a.run === b.run) return null;
  return a.run === "clean" ? [a.index, b.index] : [b.index, a.index];
}

export function linksOf(columns: Column[]): Link[] {
  return columns.flatMap(({ clean, corrupt }): Link[] =>
    clean === null || corrupt === null ? [] : [[clean, corrupt]],
  );
}

/** The links with a new link added; links that share an end with it or cross it are removed. */
export function withLink(links: Link[], link: Link): Link[] {
  const [clean, corrupt] = link;
  const kept = links.filter(([a, b]) => (a < clean && b < corrupt) || (a > clean && b > corrupt));
  return [...kept, link].sort(([a], [b]) => a - b);
}

/** The links without those of a token. */
export function withoutLinksOf(links: Link[], { run, index }: TokenAt): Link[] {
  return links.filter(([clean, corrupt]) => (run === "clean" ? clean : corrupt) !== index);
}

/** The token that an arrow key, Home or End moves to; null for other keys and at the ends. */
export function tokenAfterKey(columns: Column[], { run, index }: TokenAt, key: string): TokenAt | null {
  const last = columns.filter((column) => column[run] !== null).length - 1;
  if (key === "Home") return { run, index: 0 };
  if (key === "End") return { run, index: last };
  if (key === "ArrowLeft" && index > 0) return { run, index: index - 1 };
  if (key === "ArrowRight" && index < last) return { run, index: index + 1 };
  if (key === (run === "clean" ? "ArrowDown" : "ArrowUp")) return nearestAcross(columns, { run, index });
  return null;
}

/** The counterpart of a token or, if it has none, the nearest token of the other prompt. */
function nearestAcross(columns: Column[], { run, index }: TokenAt): TokenAt | null {
  const other = otherRun(run);
  const at = columns.findIndex((column) => column[run] === index);
  for (let away = 0; away < columns.length; away++) {
    const found = columns[at + away]?.[other] ?? columns[at - away]?.[other];
    if (found !== undefined && found !== null) return { run: other, index: found };
  }
  return null;
}

/** The columns of a manual alignment. The draft is ahead of Python, so the view does not wait for Python's columns. */
export function columnsOf(links: Link[], { clean, corrupt }: Pick<Tokens, Run>): Column[] {
  const columns: Column[] = [];
  let [a, b] = [0, 0];
  const alone = (toA: number, toB: number) => {
    while (a < toA) columns.push({ clean: a++, corrupt: null, same: false });
    while (b < toB) columns.push({ clean: null, corrupt: b++, same: false });
  };
  for (const [i, j] of links) {
    // Tokens of a text that has not been tokenised have no column yet.
    if (i >= clean.ids.length || j >= corrupt.ids.length) break;
    alone(i, j);
    columns.push({ clean: i, corrupt: j, same: clean.ids[i] === corrupt.ids[j] });
    [a, b] = [i + 1, j + 1];
  }
  alone(clean.ids.length, corrupt.ids.length);
  return columns;
}
