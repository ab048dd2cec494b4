// What a feature writes and reads, and its strongest examples, as Python sends it.
import { type ArrayJson, decodeFloats } from "../../lib/ndarray";
import type { ResultEnvelope } from "../../lib/schema";

interface WeighedToken {
  id: number;
  text: string;
  value: number;
}

export interface DescriptionJson extends ResultEnvelope {
  layer: number;
  feature: number;
  promoted: WeighedToken[];
  suppressed: WeighedToken[];
  excited_by: WeighedToken[];
  inhibited_by: WeighedToken[];
  note: string;
  examples: { text: number; start: number; at: number; tokens: string[]; activations: ArrayJson }[];
  texts: number;
  positions: number;
  active: number;
  warnings: string[];
  provenance: { complete?: boolean };
}

export interface Description {
  json: DescriptionJson;
  examples: { text: number; start: number; at: number; tokens: string[]; activations: Float32Array }[];
}

export const decodeDescription = (json: DescriptionJson): Description => ({
  json,
  examples: json.examples.map((one) => ({ ...one, activations: decodeFloats(one.activations) })),
});
