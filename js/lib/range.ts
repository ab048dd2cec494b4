/** 0, 1, 2 and so on: `n` numbers. */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** The largest absolute value; NaN does not count. */
export function largestOf(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i] ?? 0);
    if (size > largest) largest = size;
  }
  return largest;
}
