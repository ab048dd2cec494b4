// What crosses between the editor and Python.
import type { Choice } from "../lib/controls";
import type { TopJson } from "../lib/top_arrays";

export type Run = "clean" | "corrupt";
export type FieldName = "clean" | "corrupt" | "clean_answer" | "corrupt_answer";

export interface Pair {
  clean: string;
  corrupt: string;
  clean_answer: string;
  corrupt_answer: string;
  score_first_token: boolean;
}

export interface TokenList {
  ids: number[];
  tokens: string[];
}

/** Indices into the two token lists; a gap is null. */
export interface Column {
  clean: number | null;
  corrupt: number | null;
  same: boolean;
}

export interface Warning {
  code: string;
  field: FieldName | null;
  level: "error" | "warning";
  message: string;
  fix: { label: string; pair: Pair } | null;
}

export interface Tokens extends Record<FieldName, TokenList> {
  columns: Column[];
  warnings: Warning[];
}

export interface Reading {
  pair: Pair;
  /** null where the pair lacks what the metric needs. */
  metric: string | null;
  label: string;
  baselines: Record<Run, number | null>;
  /** Without a run whose prompt can't be run. */
  top_runs: Partial<Record<Run, TopJson>>;
  tokens: Record<string, string>;
  warnings?: Warning[];
}

export interface EditorInfo {
  templates: (Choice & { name: string; pairs: Pair[] })[];
}

const FIELDS = ["clean", "corrupt", "clean_answer", "corrupt_answer", "score_first_token"] as const;

export function samePair(a: Pair, b: Pair): boolean {
  return FIELDS.every((field) => a[field] === b[field]);
}

export function swapped(pair: Pair): Pair {
  return {
    ...pair,
    clean: pair.corrupt,
    corrupt: pair.clean,
    clean_answer: pair.corrupt_answer,
    corrupt_answer: pair.clean_answer,
  };
}
