// Attention patterns as Python sends them and as the view stores them. Heads have two names: the model's own
// [layer, head], which Python uses, and the place in the arrays, which is called `index` here.
import { type ArrayJson, decodeFloats } from "../../lib/ndarray";
import type { Counterparts } from "../../lib/place";
import type { ResultEnvelope } from "../../lib/schema";
import type { ShownSide as SideName } from "../../lib/side_menu";

export type { SideName };

export type Head = readonly [layer: number, head: number];

export interface ResultJson extends ResultEnvelope {
  params: {
    kind: string;
    prompt?: string | null;
    pair?: { clean_answer?: string | string[]; corrupt_answer?: string | string[] } | null;
    layers?: number[] | null;
    heads?: number[] | null;
    last?: number | null;
  };
  layers: number[];
  heads: number[];
  /** The names of the heads, by index; without names, heads are called by their numbers. */
  names?: string[] | null;
  /** The key-value head that each head uses; null if each has its own. */
  key_value_heads?: number[] | null;
  sides: Partial<Record<SideName, { text: string; ids: number[]; tokens: string[] }>>;
  /** The corrupt position of each clean position. */
  counterparts: Counterparts;
  quantity: string;
  signed: boolean;
  high: Partial<Record<SideName, number>>;
  low?: Partial<Record<SideName, number>> | null;
  colors?: { positive: string | null; negative: string | null } | null;
  axis_labels?: boolean;
  warnings?: string[];
  provenance?: { model?: { name?: string }; seconds?: number | null };
  whole: boolean;
  /** [layer, head, position, source]; empty unless whole. */
  values: Partial<Record<SideName, ArrayJson>>;
  /** In a saved page: the heads that were opened, by "side:layer.head". */
  kept?: Record<string, ArrayJson> | null;
}

export class Attention {
  readonly json: ResultJson;
  readonly heads: number;
  readonly count: number;
  #sides = new Map<SideName, Float32Array | null>();
  #kept = new Map<string, Float32Array>();

  constructor(json: ResultJson) {
    this.json = json;
    this.heads = json.heads.length;
    this.count = json.layers.length * this.heads;
  }

  isPair(): boolean {
    return this.json.sides.prompt === undefined;
  }

  /** The requested side, or the only side of the result. */
  sideOf(asked: SideName): SideName {
    if (!this.isPair()) return "prompt";
    return asked === "prompt" ? "clean" : asked;
  }

  /** In a difference positions are those of the clean prompt. */
  tokensOf(side: SideName): string[] {
    return this.json.sides[side === "difference" ? "clean" : side]?.tokens ?? [];
  }

  /** Whether values have a sign; a difference always does. */
  isSigned(side: SideName): boolean {
    return this.json.signed || side === "difference";
  }

  headAt(index: number): Head {
    const { layers, heads } = this.json;
    return [layers[Math.floor(index / this.heads)] ?? 0, heads[index % this.heads] ?? 0];
  }

  /** The index of a head; -1 if the result does not have it. */
  indexOf(layer: number, head: number): number {
    const [row, column] = [this.json.layers.indexOf(layer), this.json.heads.indexOf(head)];
    return row < 0 || column < 0 ? -1 : row * this.heads + column;
  }

  nameOf(index: number): string {
    return this.json.names?.[index] ?? this.headAt(index).join(".");
  }

  titleOf(index: number): string {
    return this.json.names ? this.nameOf(index) : `Head ${this.nameOf(index)}`;
  }

  /** One head's values [position, source], if they came with the result. */
  matrixOf(side: SideName, index: number): Float32Array | null {
    const key = keyOf(side, this.headAt(index));
    const found = this.#kept.get(key);
    if (found) return found;
    const kept = this.json.kept?.[key];
    if (kept) {
      const values = decodeFloats(kept);
      this.#kept.set(key, values);
      return values;
    }
    const cells = this.tokensOf(side).length ** 2;
    return this.#all(side)?.subarray(index * cells, (index + 1) * cells) ?? null;
  }

  /** Decoded on first use. */
  #all(side: SideName): Float32Array | null {
    const known = this.#sides.get(side);
    if (known !== undefined) return known;
    const json = this.json.values[side];
    const values = json ? decodeFloats(json) : null;
    this.#sides.set(side, values);
    return values;
  }
}

export function keyOf(side: SideName, [layer, head]: Head): string {
  return `${side}:${layer}.${head}`;
}
