// One prompt's tokens, each in its column.
import { textWidth } from "../../lib/text_width";
import { Token, tokenParts, visibleText } from "../../lib/tokens";
import { otherRun, type TokenAt } from "./alignment";
import { covered, type Folds } from "./fold";
import type { Column, Run, TokenList } from "./types";

interface TokenRowProps {
  run: Run;
  columns: Column[];
  folds: Folds;
  widths: string[];
  lists: Record<Run, TokenList>;
  /** Whether to say what each token is linked to. */
  linked: boolean;
  /** The token that Tab moves to. */
  active: TokenAt | null;
  isPressed(place: TokenAt, column: Column): boolean;
  isDisabled(column: Column): boolean;
  onPress(place: TokenAt, column: Column): void;
  onUnfold(): void;
}

export function TokenRow({ run, columns, folds, widths, lists, linked, active, ...row }: TokenRowProps) {
  const inside = covered(columns, folds);
  return (
    <div
      class={`hs-tokens hs-tokens-${run}`}
      role="group"
      aria-label={`${run} tokens`}
      data-hs={`tokens-${run}`}
    >
      {columns.map((column, i) => {
        const n = folds.get(i);
        // One of the two can be reached with Tab.
        if (n) return <FoldChip key={`fold ${i}`} n={n} tab={run === "clean"} onUnfold={row.onUnfold} />;
        if (inside[i]) return null;
        const index = column[run];
        const minWidth = widths[i];
        if (index === null)
          return (
            <span key={`gap ${i}`} class="hs-chip hs-chip-gap" style={{ minWidth }} title="no token here" />
          );
        const place = { run, index };
        return (
          // Keyed by token, so that the focus stays on it when its column changes.
          <button
            key={`${index}`}
            type="button"
            class={`hs-chip${column.same ? "" : ` hs-chip-differs hs-tone-${run}`}`}
            style={{ minWidth }}
            title={`position ${index} · id ${lists[run].ids[index]}`}
            aria-label={describe(place, column, lists, linked)}
            aria-pressed={row.isPressed(place, column)}
            aria-disabled={row.isDisabled(column)}
            data-run={run}
            data-token={index}
            tabIndex={active?.run === run && active.index === index ? 0 : -1}
            onClick={() => row.onPress(place, column)}
          >
            <Token text={lists[run].tokens[index] ?? ""} />
          </button>
        );
      })}
    </div>
  );
}

function FoldChip({ n, tab, onUnfold }: { n: number; tab: boolean; onUnfold(): void }) {
  return (
    <button
      type="button"
      class="hs-chip hs-chip-fold"
      data-hs="fold"
      title="Show them"
      aria-label={`${n} equal tokens; show them`}
      tabIndex={tab ? 0 : -1}
      onClick={onUnfold}
    >
      {`\u22ef ${n} equal \u22ef`}
    </button>
  );
}

/** All rows give a column the same width, so that they wrap at the same places and stay aligned. */
export function columnWidths(columns: Column[], lists: Record<Run, TokenList>, mono: string): string[] {
  const width = (run: Run, index: number | null) =>
    index === null ? 0 : textWidth(visibleText(lists[run].tokens[index] ?? ""), 12, mono);
  return columns.map(({ clean, corrupt }) => {
    const widest = Math.max(width("clean", clean), width("corrupt", corrupt));
    return `min(100%, ${Math.ceil(widest) + 14}px)`;
  });
}

export function spoken(token: string): string {
  return tokenParts(token).every((part) => part.mark) ? visibleText(token) : token.trim();
}

function describe(
  { run, index }: TokenAt,
  column: Column,
  lists: Record<Run, TokenList>,
  linked: boolean,
): string {
  const words = [spoken(lists[run].tokens[index] ?? ""), `position ${index}`];
  const other = otherRun(run);
  const across = column[other];
  if (linked && across === null) words.push("no counterpart");
  else if (linked && across !== null)
    words.push(`linked to ${spoken(lists[other].tokens[across] ?? "")}, position ${across}`);
  if (!column.same) words.push("differs");
  return words.join(", ");
}
