// Which heads are shown, and in which order: by layer and head, or the best of a score first.
import type { Attention } from "./result";
import type { Score } from "./scores";

/** Of very many heads in the order of a score only so many at first: the first are what is looked for. */
export const AT_ONCE = 96;

export interface Order {
  /** The rows of layers, from layer 0 on; null where heads flow in the order of a score. */
  rows: number[] | null;
  /** What is shown in each place: indices of heads. */
  heads: number[];
}

export function orderOf(attention: Attention, layers: readonly number[] | null, score: Score | null): Order {
  const rows = shownRows(attention, layers);
  const heads = rows.flatMap((row) =>
    Array.from({ length: attention.heads }, (_, i) => row * attention.heads + i),
  );
  if (score) return { rows: null, heads: sortedBy(heads, score) };
  // Heads with names of their own are in no grid of layers.
  return { rows: attention.json.names ? null : rows, heads };
}

/** Those without a value are last; equal ones stay in their order. */
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

/** All rows where the layers that are asked for are none of this result's. */
function shownRows({ json }: Attention, layers: readonly number[] | null): number[] {
  const all = json.layers.map((_, row) => row);
  const asked = layers && all.filter((row) => layers.includes(json.layers[row] ?? -1));
  return asked && asked.length > 0 ? asked : all;
}
