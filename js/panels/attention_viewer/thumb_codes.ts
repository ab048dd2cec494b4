// The thumbnails of all heads, computed here from a whole result, or else sent by Python.
import type { ArrayJson } from "../../lib/ndarray";
import type { Attention, SideName } from "./result";
import { codesOf, fewerCodes, type ScaleName, type Scaling } from "./scale";

export interface ThumbsJson {
  result: string;
  side: string;
  scale: string;
  without_first?: boolean;
  size: number;
  codes: ArrayJson;
}

export interface Thumbs {
  result: string;
  side: SideName;
  scale: ScaleName;
  withoutFirst: boolean;
  size: number;
  codes: Uint8Array;
}

export interface ThumbSource {
  /** The largest number of cells along a side. */
  cells: number;
  /** Whether the thumbnails show the chosen side on the chosen scale. */
  fresh: boolean;
  /** A head's codes in size x size cells. */
  codes(index: number, size: number): Uint8Array;
}

/** The largest number of cells along a side, as in Python's thumbnails; more would not be visible in a small picture. */
const MOST_CELLS = 64;

export function thumbSource(
  attention: Attention,
  side: SideName,
  scaling: Scaling,
  thumbs: Thumbs | null,
): ThumbSource | null {
  const tokens = attention.tokensOf(side).length;
  const known = new Map<string, Uint8Array>();
  const kept = (make: (index: number, size: number) => Uint8Array) => (index: number, size: number) => {
    const key = `${index} ${size}`;
    const found = known.get(key) ?? make(index, size);
    known.set(key, found);
    return found;
  };
  if (attention.json.whole) {
    const cells = Math.min(tokens, MOST_CELLS);
    const codes = kept((index, size) => {
      const values = attention.matrixOf(side, index);
      return values ? codesOf(values, tokens, size, scaling) : new Uint8Array(size * size).fill(255);
    });
    return { cells, fresh: true, codes };
  }
  if (thumbs?.result !== attention.json.id) return null;
  const { size: from, codes: all } = thumbs;
  const codes = kept((index, size) => {
    const own = all.subarray(index * from * from, (index + 1) * from * from);
    return fewerCodes(own, from, size, scaling.signed);
  });
  const { name, withoutFirst } = scaling;
  const fresh = thumbs.side === side && thumbs.scale === name && thumbs.withoutFirst === withoutFirst;
  return { cells: from, fresh, codes };
}
