// Which heads are shown, and their order: by layer and head, or by a score with the largest first.
import type { Attention } from "./result";
import type { Score } from "./scores";

/** How many heads are shown at first when they are sorted by a score, since the first ones are of most interest. */
export const AT_ONCE = 96;

export interface Order {
  /** The rows of layers, from layer 0 on; null if heads flow in the order of a score. */
  rows: number[] | null;
  /** The index of the head at each place. */
  heads: number[];
}

export function orderOf(attention: Attention, layers: readonly number[] | null, score: Score | null): Order {
  const rows = shownRows(attention, layers);
  const heads = rows.flatMap((row) =>
    Array.from({ length: attention.heads }, (_, i) => row * attention.heads + i),
  );
  if (score) return { rows: null, heads: sortedBy(heads, score) };
  // Named heads are not laid out in a grid of layers.
  return { rows: attention.json.names ? null : rows, heads };
}

/** Heads without a value come last; heads with equal values keep their order. */
export function sortedBy(heads: number[], { values, descending }: Score): number[] {
  const rank = (head: number) => {
    const value = values[head] ?? Number.NaN;
    if (Number.isNaN(value)) return Number.POSITIVE_INFINITY;
    return descending ? -value : value;
  };
  return [...heads].sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    return x === y ? a - b : x - y;
  });
}

/** The rows of the chosen layers; all rows if the result has none of these layers. */
function shownRows({ json }: Attention, layers: readonly number[] | null): number[] {
  const all = json.layers.map((_, row) => row);
  const asked = layers && all.filter((row) => layers.includes(json.layers[row] ?? -1));
  return asked && asked.length > 0 ? asked : all;
}
