// A text field that shows the spaces at its ends, and the tokens beneath it.
import { useLayoutEffect, useRef } from "preact/hooks";
import { textWidth } from "../lib/text_width";
import { usePalette } from "../lib/theme";
import { Token, tokenParts, visibleText } from "../lib/tokens";
import type { Tone } from "../lib/top_tokens";
import type { Column, TokenList } from "./types";

interface FieldProps {
  name: string;
  label: string;
  value: string;
  readonly: boolean;
  /** Id of the sentence that says what is wrong with it. */
  problem: string | undefined;
  onType(value: string): void;
  onEnter(): void;
}

export function Field({ name, label, value, readonly, problem, onType, onEnter }: FieldProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    if (area.current) fitHeight(area.current);
  }, [value]);
  if (readonly) {
    return (
      <div class="hs-field hs-field-plain" data-hs={`input-${name}`} role="group" aria-label={label}>
        <Token text={value} />
      </div>
    );
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    event.stopPropagation();
    onEnter();
  };
  return (
    <div class="hs-field">
      <Ghost value={value} />
      <textarea
        ref={area}
        rows={1}
        value={value}
        data-hs={`input-${name}`}
        aria-label={label}
        aria-invalid={problem !== undefined}
        aria-describedby={problem}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        onInput={(event) => onType(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
    </div>
  );
}

/** Lies under the text and shows a sign where the text has a space that could be missed. */
function Ghost({ value }: { value: string }) {
  return (
    <div class="hs-ghost" aria-hidden="true">
      {value.split(/(^ +| +$| +(?=\n)|(?<=\n) +|\n)/).map((part) => {
        if (part === "\n") return <span class="hs-ghost-mark">{"\u23ce\n"}</span>;
        if (!/^ +$/.test(part)) return part;
        return [...part].map(() => <span class="hs-ghost-mark hs-ghost-space">{"\u2423"}</span>);
      })}
    </div>
  );
}

function fitHeight(area: HTMLTextAreaElement): void {
  area.style.height = "auto";
  // scrollHeight leaves the two borders out.
  if (area.scrollHeight > 0) area.style.height = `${area.scrollHeight + 2}px`;
}

interface TokenRowProps {
  run: Tone;
  columns: Column[];
  clean: TokenList;
  corrupt: TokenList;
  selected: number | null;
  onSelect(position: number | null): void;
}

/** Both rows give a column the same width, so that they break at the same places and stand under each other. */
export function TokenRow({ run, columns, clean, corrupt, selected, onSelect }: TokenRowProps) {
  const { mono } = usePalette();
  const own = run === "clean" ? clean : corrupt;
  const width = (list: TokenList, index: number | null) =>
    index === null ? 0 : textWidth(visibleText(list.tokens[index] ?? ""), 12, mono);
  return (
    <div class="hs-tokens" role="group" aria-label={`${run} tokens`} data-hs={`tokens-${run}`}>
      {columns.map((column, i) => {
        const index = column[run];
        const minWidth = `${Math.ceil(Math.max(width(clean, column.clean), width(corrupt, column.corrupt))) + 14}px`;
        const key = `${i}`;
        if (index === null)
          return <span key={key} class="hs-chip hs-chip-gap" style={{ minWidth }} title="no token here" />;
        const position = column.clean;
        const token = own.tokens[index] ?? "";
        const tone = column.same ? "" : ` hs-chip-differs hs-tone-${run}`;
        return (
          <button
            key={key}
            type="button"
            class={`hs-chip${tone}`}
            style={{ minWidth }}
            title={`position ${index} · id ${own.ids[index]}`}
            aria-label={`${spoken(token)}, position ${index}${column.same ? "" : ", differs"}`}
            aria-pressed={position !== null && position === selected}
            disabled={position === null}
            onClick={() => onSelect(position === selected ? null : position)}
          >
            <Token text={token} />
          </button>
        );
      })}
    </div>
  );
}

export function AnswerTokens({ name, list }: { name: string; list: TokenList }) {
  return (
    <div class="hs-tokens" data-hs={`tokens-${name}`}>
      {list.tokens.map((token, i) => (
        <span key={i} class="hs-chip" title={`id ${list.ids[i]}`}>
          <Token text={token} />
        </span>
      ))}
    </div>
  );
}

function spoken(token: string): string {
  return tokenParts(token).every((part) => part.mark) ? visibleText(token) : token.trim();
}
