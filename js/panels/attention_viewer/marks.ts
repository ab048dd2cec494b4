// The cells at which a known kind of head would look: previous-token, induction, duplicate-token heads.

export type MarkName = "induction" | "previous" | "duplicate";

/** Pairs of position and source, one after the other. */
export function markedCells(mark: MarkName, ids: readonly (number | string)[]): Int32Array {
  const cells: number[] = [];
  if (mark === "previous") {
    for (let at = 1; at < ids.length; at++) cells.push(at, at - 1);
    return Int32Array.from(cells);
  }
  // An induction head looks at what followed the same token, a duplicate-token head at that token itself.
  const after = mark === "induction" ? 1 : 0;
  const places = new Map<number | string, number[]>();
  for (const [position, id] of ids.entries()) {
    const before = places.get(id) ?? [];
    for (const place of before) cells.push(position, place + after);
    places.set(id, [...before, position]);
  }
  return Int32Array.from(cells);
}
