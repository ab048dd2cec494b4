// Direct logit attribution as Python sends it: what each component writes towards the answer.
import { type ArrayJson, decodeFloats, decodeInts } from "../../lib/ndarray";
import type { Counterparts, Place } from "../../lib/place";
import type { ResultEnvelope } from "../../lib/schema";
import type { ShownSide } from "../../lib/side_menu";
import type { PairJson, SideName } from "./result";

interface SideJson {
  text: string;
  ids: number[];
  tokens: string[];
  position: number;
  values: ArrayJson;
  total: number;
  by_source: ArrayJson | null;
}

export interface AttributionJson extends ResultEnvelope {
  params: {
    unit: string;
    position: number;
    answer: string;
    wrong_answer?: string | null;
    pair?: PairJson | null;
  };
  kinds: string[];
  kind: ArrayJson;
  layer: ArrayJson;
  index: ArrayJson;
  labels: string[];
  /** The place of each component. */
  places: Place[];
  sides: Partial<Record<SideName, SideJson>>;
  counterparts: Counterparts;
  quantity: string;
  note?: string;
  warnings?: string[];
  provenance?: { model?: { name?: string } };
}

export interface SourcesJson {
  layer: number;
  head: number;
  sides: Partial<Record<SideName, ArrayJson>>;
}

/** The attribution of one side, or clean minus corrupt. */
export interface Attributed {
  name: ShownSide;
  /** Values by component. */
  values: Float32Array;
  total: number;
  text: string;
  tokens: string[];
  position: number;
}

export class Attribution {
  readonly json: AttributionJson;
  readonly kind: Int32Array;
  readonly layer: Int32Array;
  readonly index: Int32Array;
  readonly layers: number;
  readonly heads: number;
  #values: Partial<Record<SideName, Float32Array>> = {};
  #bySource: Partial<Record<SideName, Float32Array>> = {};
  /** Sources that were requested, by head. */
  #asked = new Map<string, Partial<Record<SideName, Float32Array>>>();

  constructor(json: AttributionJson) {
    this.json = json;
    this.kind = decodeInts(json.kind);
    this.layer = decodeInts(json.layer);
    this.index = decodeInts(json.index);
    this.layers = this.layer.reduce((most, layer) => Math.max(most, layer + 1), 0);
    const head = json.kinds.indexOf("head");
    this.heads = this.index.reduce(
      (most, i, at) => (this.kind[at] === head ? Math.max(most, i + 1) : most),
      0,
    );
    for (const [key, side] of Object.entries(json.sides)) {
      const name = key as SideName;
      this.#values[name] = decodeFloats(side.values);
      if (side.by_source) this.#bySource[name] = decodeFloats(side.by_source);
    }
  }

  kindOf(component: number): string {
    return this.json.kinds[this.kind[component] ?? 0] ?? "";
  }

  /** Like a whole layer, a bias has a layer and no activation, but it is not a place. */
  #isBias(component: number): boolean {
    return this.kindOf(component).endsWith("bias");
  }

  /** The component at a place; null if there is none. A head is the same component for all of its
   *  activations. */
  componentOf(place: Place | null): number | null {
    const { head } = place ?? {};
    const parts = head === undefined ? (["activation", "layer", "neuron"] as const) : (["layer"] as const);
    if (!place || parts.every((part) => place[part] === undefined)) return null;
    const at = this.json.places.findIndex(
      (own, i) => own.head === head && parts.every((part) => own[part] === place[part]) && !this.#isBias(i),
    );
    return at < 0 ? null : at;
  }

  headOf(component: number): readonly [layer: number, head: number] | null {
    if (this.kindOf(component) !== "head") return null;
    return [this.layer[component] ?? 0, this.index[component] ?? 0];
  }

  isPair(): boolean {
    return this.json.sides.prompt === undefined;
  }

  /** The requested side, or the only side of the result. */
  at(name: ShownSide): Attributed | null {
    const { prompt, clean, corrupt } = this.json.sides;
    const { prompt: alone, clean: a, corrupt: b } = this.#values;
    if (prompt && alone) return { ...about("prompt", prompt), values: alone };
    if (!clean || !corrupt || !a || !b) return null;
    if (name === "corrupt") return { ...about("corrupt", corrupt), values: b };
    if (name !== "difference") return { ...about("clean", clean), values: a };
    const values = a.map((value, i) => value - (b[i] ?? 0));
    return { ...about("difference", clean), values, total: clean.total - corrupt.total };
  }

  /** A head's contribution by source token; null if it has not arrived. */
  sourcesOf(layer: number, head: number, name: ShownSide = "prompt"): Float32Array | null {
    if (name === "difference") {
      const [a, b] = [this.sourcesOf(layer, head, "clean"), this.sourcesOf(layer, head, "corrupt")];
      return a && b && a.map((value, i) => value - (b[i] ?? 0));
    }
    const side = this.isPair() && name === "prompt" ? "clean" : name;
    const all = this.#bySource[side];
    const sources = this.json.sides[side]?.by_source?.shape[2] ?? 0;
    const start = (layer * this.heads + head) * sources;
    return all?.subarray(start, start + sources) ?? this.#asked.get(`${layer}.${head}`)?.[side] ?? null;
  }

  takeSources({ layer, head, sides }: SourcesJson): void {
    const entries = Object.entries(sides).map(([name, json]) => [name, decodeFloats(json)]);
    this.#asked.set(`${layer}.${head}`, Object.fromEntries(entries));
  }
}

function about(name: ShownSide, { total, text, tokens, position }: SideJson): Omit<Attributed, "values"> {
  return { name, total, text, tokens, position };
}
