// The warnings about the pair, each with its remedy.
import { Button } from "../../lib/controls";
import type { FieldName, Pair, Warning } from "./types";

const LEVELS = {
  error: { sign: "\u2715", word: "Error" },
  warning: { sign: "\u26a0\ufe0e", word: "Warning" },
  note: { sign: "\u2139\ufe0e", word: "Note" },
};

interface WarningsProps {
  id: string;
  warnings: Warning[];
  /** Missing if nothing can be edited. */
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
            {LEVELS[level].sign}
          </span>
          <span>
            <span class="hs-sr">{`${LEVELS[level].word}: `}</span>
            <span class="hs-warning-text">{message}</span>
            {fix && onFix && (
              <Button name="fix" title="Change the pair" onClick={() => onFix(fix.pair)}>
                {fix.label}
              </Button>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}
