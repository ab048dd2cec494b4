// What is wrong or doubtful about the pair, each with its remedy.
import { Button } from "../lib/controls";
import type { FieldName, Pair, Warning } from "./types";

interface WarningsProps {
  id: string;
  warnings: Warning[];
  /** Missing where nothing can be edited. */
  onFix: ((pair: Pair) => void) | null;
}

export const warningId = (list: string, index: number): string => `${list}-warning-${index}`;

/** The id of the first error about a field. */
export function problemOf(list: string, warnings: Warning[], field: FieldName): string | undefined {
  const index = warnings.findIndex((warning) => warning.level === "error" && warning.field === field);
  return index < 0 ? undefined : warningId(list, index);
}

export function Warnings({ id, warnings, onFix }: WarningsProps) {
  return (
    <ul class="hs-warnings" data-hs="warnings" aria-live="polite">
      {warnings.map(({ code, field, level, message, fix }, index) => (
        <li
          key={`${code} ${field}`}
          id={warningId(id, index)}
          class={`hs-${level}-item`}
          data-hs={level}
          data-code={code}
        >
          <span class="hs-warning-sign" aria-hidden="true">
            {level === "error" ? "\u2715" : "\u26a0\ufe0e"}
          </span>
          <span>
            <span class="hs-sr">{level === "error" ? "Error: " : "Warning: "}</span>
            <span class="hs-warning-text">{message}</span>
            {fix && onFix && (
              <Button name="fix" onClick={() => onFix(fix.pair)}>
                {fix.label}
              </Button>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}
