// The cells that a known kind of head would attend to: previous-token, induction and duplicate-token heads.

export type MarkName = "induction" | "previous" | "duplicate";

/** A flat list of (position, source) pairs. */
export function markedCells(mark: MarkName, ids: readonly (number | string)[]): Int32Array {
  const cells: number[] = [];
  if (mark === "previous") {
    for (let at = 1; at < ids.length; at++) cells.push(at, at - 1);
    return Int32Array.from(cells);
  }
  // An induction head attends to the token after an earlier occurrence, a duplicate-token head to that occurrence.
  const after = mark === "induction" ? 1 : 0;
  const places = new Map<number | string, number[]>();
  for (const [position, id] of ids.entries()) {
    const before = places.get(id) ?? [];
    for (const place of before) cells.push(position, place + after);
    places.set(id, [...before, position]);
  }
  return Int32Array.from(cells);
}
