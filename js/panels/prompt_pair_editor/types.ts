// The editor's data as exchanged with Python.
import type { Choice } from "../../lib/controls";
import type { TopJson } from "../../lib/top_tokens";
import type { PromptPair } from "../../wire/requests";

export type Run = "clean" | "corrupt";
export type FieldName = "clean" | "corrupt" | "clean_answer" | "corrupt_answer";

/** One answer, or a set of two or more answers that are scored together. */
export type Answer = string | string[];
/** The position of a token in the clean prompt, and of its counterpart in the corrupt one. */
export type Link = [clean: number, corrupt: number];

/** An alignment is strictly increasing in both positions; it is null if Python aligns automatically. Older pages lack
 *  the optional fields. */
type Optional = "alignment" | "prepend_bos";
export type Pair = Required<Omit<PromptPair, Optional>> & Pick<PromptPair, Optional>;

export interface TokenList {
  ids: number[];
  tokens: string[];
}

export interface AnswerTokenList extends TokenList {
  /** The index at which each answer begins; missing in older pages, which have one answer. */
  starts?: number[];
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
  level: "error" | "warning" | "note";
  message: string;
  fix: { label: string; pair: Pair } | null;
}

export interface Tokens extends Record<Run, TokenList> {
  clean_answer: AnswerTokenList;
  corrupt_answer: AnswerTokenList;
  columns: Column[];
  warnings: Warning[];
}

export interface Reading {
  pair: Pair;
  /** null if the pair lacks an answer that the metric needs. */
  metric: string | null;
  label: string;
  baselines: Record<Run, number | null>;
  /** The runs, without those whose prompt can't be run. */
  top_runs: Partial<Record<Run, TopJson>>;
  tokens: Record<string, string>;
  warnings?: Warning[];
}

/** The token that may stand in front of every prompt; missing in older pages. */
export interface Bos {
  token: string;
  /** Whether it is there if the pair does not say. */
  default: boolean;
  by: string;
}

export interface EditorInfo {
  model?: { bos?: Bos | null };
  templates: (Choice & { name: string; pairs: Pair[] })[];
}

const FIELDS = [
  "clean",
  "corrupt",
  "clean_answer",
  "corrupt_answer",
  "score_first_token",
  "prepend_bos",
  "alignment",
] as const;

export function samePair(a: Pair, b: Pair): boolean {
  const text = (pair: Pair) => JSON.stringify(FIELDS.map((field) => pair[field] ?? null));
  return text(a) === text(b);
}

export function swapped(pair: Pair): Pair {
  return {
    ...pair,
    clean: pair.corrupt,
    corrupt: pair.clean,
    clean_answer: pair.corrupt_answer,
    corrupt_answer: pair.clean_answer,
    alignment: pair.alignment?.map(([clean, corrupt]): Link => [corrupt, clean]) ?? null,
  };
}
