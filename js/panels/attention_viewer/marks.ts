// The cells where a head of a known kind would look: previous token, induction, duplicate token.

export type MarkName = "induction" | "previous" | "duplicate";

/** Pairs of destination and source, flat. */
export function markedCells(mark: MarkName, ids: readonly (number | string)[]): Int32Array {
  const cells: number[] = [];
  if (mark === "previous") {
    for (let at = 1; at < ids.length; at++) cells.push(at, at - 1);
    return Int32Array.from(cells);
  }
  // A head of induction looks at what came after the same token, one that finds duplicates at the token itself.
  const after = mark === "induction" ? 1 : 0;
  const places = new Map<number | string, number[]>();
  for (const [destination, id] of ids.entries()) {
    const before = places.get(id) ?? [];
    for (const place of before) cells.push(destination, place + after);
    places.set(id, [...before, destination]);
  }
  return Int32Array.from(cells);
}
