/** 0, 1, 2 and so on: `n` numbers. */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}
