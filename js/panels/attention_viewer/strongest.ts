// The largest entries of a row or a column.

export interface Entry {
  position: number;
  value: number;
}

/** What `position` attends to, or what attends to it: the `most` entries farthest from zero, largest first. */
export function strongest(
  values: Float32Array,
  tokens: number,
  position: number,
  of: "sources" | "positions",
  most: number,
): Entry[] {
  const found: Entry[] = [];
  for (let i = 0; i < tokens; i++) {
    // A token that attends to itself is listed once, as its own source.
    if (of === "positions" && i === position) continue;
    const value = values[of === "sources" ? position * tokens + i : i * tokens + position] ?? Number.NaN;
    if (!Number.isFinite(value) || value === 0) continue;
    const last = found[most - 1];
    if (last && Math.abs(value) <= Math.abs(last.value)) continue;
    const before = found.findIndex((other) => Math.abs(other.value) < Math.abs(value));
    found.splice(before < 0 ? found.length : before, 0, { position: i, value });
    found.length = Math.min(found.length, most);
  }
  return found;
}
