// The colour scale, and the thumbnail of a head. For heads whose values it does not send, Python makes the thumbnails in
// the same way and sends their colour codes.

export type ScaleName = "linear" | "log" | "row" | "head";

/** The code of a cell is 0 to 250 along the scale; for signed values, zero is at 125. */
export const STEPS = 250;
export const NOT_A_NUMBER = 254;
export const MASKED = 255;
const ZERO = 125;
const DECADES = 4;

export interface Ends {
  /** |value| at the end of the linear scale. */
  high: number;
  /** The value at the negative end; without it, the scale is symmetric. */
  low?: number | undefined;
  signed: boolean;
}

export class Scaling {
  readonly name: ScaleName;
  readonly signed: boolean;
  readonly high: number;
  readonly low: number;
  /** Whether the first source is left out: it has no colour, and does not count as the largest of its row or head. */
  readonly withoutFirst: boolean;

  constructor(name: ScaleName, { high, low, signed }: Ends, withoutFirst = false) {
    this.name = name;
    this.withoutFirst = withoutFirst;
    this.signed = signed;
    this.high = high > 0 ? high : 1;
    this.low = low !== undefined && low < 0 ? low : -this.high;
  }

  /** Whether each row or head has a scale of its own. */
  get own(): boolean {
    return this.name === "row" || this.name === "head";
  }

  /** The factor of each row that makes the largest entry of its row or head 1; null if heads share one scale. */
  rowFactors(values: Float32Array, tokens: number): Float32Array | null {
    if (!this.own) return null;
    const largest = new Float32Array(tokens);
    for (let row = 0; row < tokens; row++) {
      for (let i = row * tokens + Number(this.withoutFirst); i < (row + 1) * tokens; i++) {
        const size = Math.abs(values[i] ?? 0);
        if (size > (largest[row] ?? 0) && size !== Number.POSITIVE_INFINITY) largest[row] = size;
      }
    }
    if (this.name === "head") largest.fill(largest.reduce((most, size) => Math.max(most, size), 0));
    return largest.map((size) => (size > 0 ? 1 / size : 0));
  }

  /** A value as a share of the end of the scale, before the logarithm; used to compare values. */
  weight(value: number, factor: number): number {
    if (this.own) return value * factor;
    return value < 0 ? -value / this.low : value / this.high;
  }

  /** The value's place on the scale, from -1 to 1. */
  along(weight: number): number {
    const size = Math.abs(weight);
    const t = this.name === "log" ? Math.max(0, 1 + Math.log10(size) / DECADES) : size;
    return Math.sign(weight) * Math.min(1, t);
  }

  code(weight: number): number {
    return codeAt(this.along(weight), this.signed);
  }

  codeOfValue(value: number, factor: number): number {
    if (value === Number.POSITIVE_INFINITY) return MASKED;
    return Number.isNaN(value) ? NOT_A_NUMBER : this.code(this.weight(value, factor));
  }
}

export function codeAt(t: number, signed: boolean): number {
  return Math.round(signed ? ZERO + ZERO * t : STEPS * Math.max(0, t));
}

/** The inverse of codeAt. */
export function alongAt(code: number, signed: boolean): number {
  return signed ? (code - ZERO) / ZERO : code / STEPS;
}

/** A head in size x size cells. Each cell shows its strongest entry, so that thin stripes survive. */
export function codesOf(values: Float32Array, tokens: number, size: number, scaling: Scaling): Uint8Array {
  const factors = scaling.rowFactors(values, tokens);
  const codes = new Uint8Array(size * size).fill(MASKED);
  const strongest = new Float32Array(size * size);
  const cells = cellsOf(tokens, size);
  for (let row = 0; row < tokens; row++) {
    const start = (cells[row] ?? 0) * size;
    const factor = factors?.[row] ?? 1;
    for (let column = Number(scaling.withoutFirst); column < tokens; column++) {
      const value = values[row * tokens + column] ?? Number.NaN;
      if (value === Number.POSITIVE_INFINITY) continue;
      const cell = start + (cells[column] ?? 0);
      if (Number.isNaN(value)) {
        if (codes[cell] === MASKED) codes[cell] = NOT_A_NUMBER;
        continue;
      }
      const weight = scaling.weight(value, factor);
      const known = (codes[cell] ?? MASKED) <= STEPS;
      if (known && Math.abs(weight) <= Math.abs(strongest[cell] ?? 0)) continue;
      strongest[cell] = weight;
      codes[cell] = 0;
    }
  }
  for (let cell = 0; cell < codes.length; cell++) {
    if ((codes[cell] ?? MASKED) <= STEPS) codes[cell] = scaling.code(strongest[cell] ?? 0);
  }
  return codes;
}

/** A smaller thumbnail made from a thumbnail. */
export function fewerCodes(codes: Uint8Array, from: number, size: number, signed: boolean): Uint8Array {
  if (size >= from) return codes;
  const fewer = new Uint8Array(size * size).fill(MASKED);
  const cells = cellsOf(from, size);
  const zero = signed ? ZERO : 0;
  for (let row = 0; row < from; row++) {
    const start = (cells[row] ?? 0) * size;
    for (let column = 0; column < from; column++) {
      const code = codes[row * from + column] ?? MASKED;
      const cell = start + (cells[column] ?? 0);
      const before = fewer[cell] ?? MASKED;
      const stronger = code <= STEPS && (before > STEPS || Math.abs(code - zero) > Math.abs(before - zero));
      if (stronger || (code === NOT_A_NUMBER && before === MASKED)) fewer[cell] = code;
    }
  }
  return fewer;
}

/** For each of n rows, which of `size` cells shows it. Cell i begins at row floor(i n / size). */
export function cellsOf(n: number, size: number): Int32Array {
  const cells = new Int32Array(n);
  for (let cell = 0; cell < size; cell++) {
    cells.fill(cell, Math.floor((cell * n) / size), Math.floor(((cell + 1) * n) / size));
  }
  return cells;
}
