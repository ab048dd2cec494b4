// The paths through a node: every edge that leads to it, however far, and every edge that it leads to.
import { type Line, sizeOf } from "./lines";

export interface Lit {
  line: Line;
  /** How many edges away from the node: 1 for its own. */
  away: number;
}

/** Finds the lines of all paths through a node, the nearest first and of equally near ones the strongest; or only those
 *  that are at most so many edges away. */
export function pathsAmong(lines: readonly Line[]): (node: string, most?: number) => Lit[] {
  const into = linesBy(lines, ({ to }) => to);
  const from = linesBy(lines, ({ edge }) => edge.from);
  return (node, most = Number.POSITIVE_INFINITY) =>
    [...walk(node, most, into, ({ edge }) => edge.from), ...walk(node, most, from, ({ to }) => to)].sort(
      (a, b) => a.away - b.away || sizeOf(b.line.edge) - sizeOf(a.line.edge),
    );
}

function linesBy(lines: readonly Line[], key: (line: Line) => string): Map<string, Line[]> {
  const found = new Map<string, Line[]>();
  for (const line of lines) {
    const own = found.get(key(line));
    if (own) own.push(line);
    else found.set(key(line), [line]);
  }
  return found;
}

function walk(
  node: string,
  most: number,
  along: ReadonlyMap<string, Line[]>,
  next: (line: Line) => string,
): Lit[] {
  const found: Lit[] = [];
  const seen = new Set([node]);
  let ends = [node];
  for (let away = 1; ends.length > 0 && away <= most; away++) {
    const step = ends.flatMap((name) => along.get(name) ?? []);
    found.push(...step.map((line) => ({ line, away })));
    ends = [...new Set(step.map(next))].filter((name) => !seen.has(name));
    for (const name of ends) seen.add(name);
  }
  return found;
}
