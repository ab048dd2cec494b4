// The pair as Python code.
import type { Answer, Pair } from "./types";

/** Characters that JSON does not escape although a reader of the code can't see them. */
const UNSEEN = /[\u007f-\u00a0\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3000\ufeff]/g;

/** A Python string literal: every escape that JSON writes means the same in Python. */
export function pythonString(text: string): string {
  return JSON.stringify(text).replace(
    UNSEEN,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

export function pythonCode(pair: Pair): string {
  const lines = (["clean", "corrupt", "clean_answer", "corrupt_answer"] as const).map(
    (field) => `    ${field}=${literal(pair[field])},`,
  );
  if (pair.score_first_token) lines.push("    score_first_token=True,");
  if (typeof pair.prepend_bos === "boolean")
    lines.push(`    prepend_bos=${pair.prepend_bos ? "True" : "False"},`);
  if (pair.alignment)
    lines.push(`    alignment=[${pair.alignment.map((link) => `(${link.join(", ")})`).join(", ")}],`);
  return ["import hookscope as hs", "", "pair = hs.PromptPair(", ...lines, ")", ""].join("\n");
}

function literal(value: Answer): string {
  return typeof value === "string" ? pythonString(value) : `[${value.map(pythonString).join(", ")}]`;
}
