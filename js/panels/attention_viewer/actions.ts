// What can be asked about one head, and the answers as they come from Python.
import type { ArrayJson } from "../../lib/ndarray";
import type { OnHeadCircuitsRequest, OnPatchHeadRequest } from "../../wire/requests";
import type { SideName } from "./result";

export type ActionName = "patch" | "attribute" | "circuits";

export interface PatchJson {
  layer: number;
  head: number;
  activation: NonNullable<OnPatchHeadRequest["activation"]>;
  label: string;
  scale_text: string;
  direction: string;
  tokens: string[];
  /** By position, normalized. */
  effects: ArrayJson;
  state: ArrayJson;
  /** The head at all positions at once. */
  all: number | null;
  warnings?: string[];
}

export interface AttributionJson {
  layer: number;
  head: number;
  quantity: string;
  answer: string | string[] | null;
  wrong_answer: string | string[] | null;
  note: string;
  sides: Partial<Record<SideName, AttributedJson>>;
  warnings?: string[];
}

export interface AttributedJson {
  value: number;
  total: number;
  rank: number;
  of: number;
  position: number;
  tokens: string[];
  by_source: ArrayJson | null;
}

export interface CircuitsJson {
  layer: number;
  head: number;
  circuit: NonNullable<OnHeadCircuitsRequest["circuit"]>;
  tokens: NonNullable<OnHeadCircuitsRequest["tokens"]>;
  pairs: TokenPair[];
  lowest: TokenPair[];
  note: string;
  copying: number | null;
}

export interface TokenPair {
  source: string;
  target: string;
  value: number;
}
