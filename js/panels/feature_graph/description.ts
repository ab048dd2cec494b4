// What a feature writes and reads, and its strongest examples, as Python sends it.
import { type ArrayJson, decodeFloats, decodeInts } from "../../lib/ndarray";
import type { ResultEnvelope } from "../../lib/schema";

export interface WeighedToken {
  id: number;
  text: string;
  value: number;
}

interface ExamplePlace {
  text: number;
  start: number;
  /** The index of the token where the feature is strongest. */
  at: number;
  tokens: string[];
}

export interface Example extends ExamplePlace {
  activations: Float32Array;
}

export interface DescriptionJson extends ResultEnvelope {
  layer: number;
  feature: number;
  promoted: WeighedToken[];
  suppressed: WeighedToken[];
  excited_by: WeighedToken[];
  inhibited_by: WeighedToken[];
  note: string;
  examples: (ExamplePlace & { activations: ArrayJson })[];
  texts: number;
  positions: number;
  active: number;
  /** Its activation at the token that begins every text, which is not counted. */
  at_start: number | null;
  counts: ArrayJson;
  edges: ArrayJson;
  warnings: string[];
  provenance: { complete?: boolean };
}

export interface Description {
  json: DescriptionJson;
  examples: Example[];
  /** How many activations are in each bin, and the ends of the bins. */
  counts: Int32Array;
  edges: Float32Array;
}

export const decodeDescription = (json: DescriptionJson): Description => ({
  json,
  counts: decodeInts(json.counts),
  edges: decodeFloats(json.edges),
  examples: json.examples.map((one) => ({ ...one, activations: decodeFloats(one.activations) })),
});
