// The tokens of both prompts, one prompt above the other, line by line, with the links between them.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { keyHandler } from "../../lib/keys";
import { usePalette } from "../../lib/theme";
import type { Aligning } from "./aligning";
import { linkBetween, sameToken, type TokenAt, tokenAfterKey, withLink } from "./alignment";
import { chipAt, type Drag, tokenOf, useDrag } from "./drag";
import { columnWidths, spoken, TokenRow } from "./token_row";
import type { Column, Link, Run, TokenList, Tokens } from "./types";

interface StripProps {
  tokens: Pick<Tokens, Run>;
  columns: Column[];
  aligning: Aligning;
  selected: number | null;
  onSelect(position: number | null): void;
}

export function TokenStrip({ tokens, columns, aligning, selected, onSelect }: StripProps) {
  const strip = useRef<HTMLDivElement>(null);
  const { mono } = usePalette();
  const cursor = useCursor(strip, tokens, columns);
  const { linked, on, chosen } = aligning;
  const editable = linked && aligning.editable;
  useLayoutEffect(() => {
    if (on && strip.current && cursor.active) chipAt(strip.current, cursor.active)?.focus();
  }, [on]);
  const { drag, handlers } = useDrag(strip, editable ? aligning.link : null);
  const widths = columnWidths(columns, tokens, mono);
  const preview = drag?.over ? linkBetween(drag.from, drag.over) : null;
  const isPressed = (place: TokenAt, column: Column) =>
    on ? sameToken(chosen, place) : column.clean !== null && column.clean === selected;
  const onPress = (place: TokenAt, { clean }: Column) => {
    if (on) aligning.choose(place);
    else if (clean !== null) onSelect(clean === selected ? null : clean);
  };
  const onKeyDown = keyHandler(({ target, key }) => {
    const place = tokenOf(target);
    return place !== null && (cursor.onKey(place, key) || (on && aligning.onKey(place, key)));
  });
  const row = { columns, widths, lists: tokens, linked, active: cursor.active, isPressed, onPress };
  return (
    <div
      ref={strip}
      class="hs-token-strip"
      role="toolbar"
      aria-label="Tokens"
      data-hs="token-strip"
      data-aligning={on}
      data-dragging={drag !== null}
      onKeyDown={onKeyDown}
      onFocusIn={cursor.onFocusIn}
      {...handlers}
    >
      {(["clean", "corrupt"] as const).map((run) => (
        <TokenRow key={run} run={run} {...row} isDisabled={(column) => !on && column.clean === null} />
      ))}
      {linked && (
        <Links
          columns={columns}
          widths={widths}
          lists={tokens}
          leaving={(link) => preview !== null && givesWay(link, preview)}
          onRemove={editable ? aligning.unlink : null}
        />
      )}
      {drag && <DragLine drag={drag} />}
    </div>
  );
}

/** Arrow keys move from token to token; Tab moves to the token that had the focus last. */
function useCursor(strip: { current: HTMLElement | null }, tokens: Pick<Tokens, Run>, columns: Column[]) {
  const [last, setLast] = useState<TokenAt>({ run: "clean", index: 0 });
  const active = last.index < tokens[last.run].ids.length ? last : firstToken(tokens);
  const onKey = (place: TokenAt, key: string): boolean => {
    const next = tokenAfterKey(columns, place, key);
    if (next && strip.current) chipAt(strip.current, next)?.focus();
    return next !== null;
  };
  const onFocusIn = ({ target }: FocusEvent) => {
    const place = tokenOf(target);
    if (place) setLast(place);
  };
  return { active, onKey, onFocusIn };
}

function firstToken(tokens: Pick<Tokens, Run>): TokenAt | null {
  const run = (["clean", "corrupt"] as const).find((name) => tokens[name].ids.length > 0);
  return run ? { run, index: 0 } : null;
}

function givesWay(link: Link, preview: Link): boolean {
  return !withLink([link], preview).includes(link);
}

interface LinksProps {
  columns: Column[];
  widths: string[];
  lists: Record<Run, TokenList>;
  /** Whether the link that is being dragged would remove this link. */
  leaving: (link: Link) => boolean;
  /** Missing if nothing can be edited. */
  onRemove: ((place: TokenAt) => void) | null;
}

function Links({ columns, widths, lists, leaving, onRemove }: LinksProps) {
  return (
    <div class="hs-tokens hs-links" data-hs="links">
      {columns.map(({ clean, corrupt, same }, i) => (
        <span key={`${i}`} class="hs-link-column" style={{ minWidth: widths[i] }}>
          {clean !== null && corrupt !== null && (
            <LinkLine
              same={same}
              leaving={leaving([clean, corrupt])}
              label={`Unlink ${spoken(lists.clean.tokens[clean] ?? "")} and ${spoken(lists.corrupt.tokens[corrupt] ?? "")}`}
              onRemove={onRemove && (() => onRemove({ run: "clean", index: clean }))}
            />
          )}
        </span>
      ))}
    </div>
  );
}

interface LinkLineProps {
  same: boolean;
  leaving: boolean;
  label: string;
  onRemove: (() => void) | null;
}

/** The keyboard removes links at their tokens, so Tab skips them. */
function LinkLine({ same, leaving, label, onRemove }: LinkLineProps) {
  const looks = `hs-link${same ? "" : " hs-link-differs"}${leaving ? " hs-link-leaving" : ""}`;
  if (!onRemove) return <i class={looks} data-hs="link" />;
  return (
    <button
      type="button"
      class={`hs-plain ${looks}`}
      data-hs="link"
      tabIndex={-1}
      title="Remove this link"
      aria-label={label}
      onClick={onRemove}
    />
  );
}

function DragLine({ drag }: { drag: Drag }) {
  return (
    <svg class="hs-drag" aria-hidden="true" data-hs="drag">
      <path d={drag.path} class={drag.over ? undefined : "hs-drag-open"} />
    </svg>
  );
}
