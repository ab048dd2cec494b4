// The tokens of both prompts, one prompt above the other, line by line, with the links between them.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { keyHandler } from "../../lib/keys";
import { usePalette } from "../../lib/theme";
import type { Aligning } from "./aligning";
import { linkBetween, sameToken, type TokenAt, tokenAfterKey, withLink } from "./alignment";
import { chipAt, type Drag, tokenOf, useDrag } from "./drag";
import { covered, type Folds } from "./fold";
import { columnWidths, spoken, TokenRow } from "./token_row";
import type { Column, Link, Run, TokenList, Tokens } from "./types";

interface StripProps {
  tokens: Pick<Tokens, Run>;
  columns: Column[];
  aligning: Aligning;
  selected: number | null;
  onSelect(position: number | null): void;
  folds: Folds;
  onUnfold(): void;
}

export function TokenStrip(props: StripProps) {
  const { tokens, columns, aligning, selected, onSelect, folds, onUnfold } = props;
  const strip = useRef<HTMLDivElement>(null);
  const { mono } = usePalette();
  const cursor = useCursor(props, strip);
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
  const row = {
    columns,
    folds,
    onUnfold,
    widths,
    lists: tokens,
    linked,
    active: cursor.active,
    isPressed,
    onPress,
  };
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
          folds={folds}
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
function useCursor({ columns, folds, onUnfold }: StripProps, strip: { current: HTMLElement | null }) {
  const [last, setLast] = useState<TokenAt>({ run: "clean", index: 0 });
  /** The token in a fold that the cursor has moved to. */
  const [entered, setEntered] = useState<TokenAt | null>(null);
  const inside = covered(columns, folds);
  const seen = columns.filter((_, i) => !inside[i]);
  const isSeen = ({ run, index }: TokenAt) => seen.some((column) => column[run] === index);
  const active = isSeen(last) ? last : firstToken(seen);
  const onKey = (place: TokenAt, key: string): boolean => {
    const next = tokenAfterKey(columns, place, key);
    if (next && !isSeen(next)) {
      setEntered(next);
      onUnfold();
    } else if (next && strip.current) chipAt(strip.current, next)?.focus();
    return next !== null;
  };
  useLayoutEffect(() => {
    if (entered && strip.current) chipAt(strip.current, entered)?.focus();
    setEntered(null);
  }, [folds]);
  const onFocusIn = ({ target }: FocusEvent) => {
    const place = tokenOf(target);
    if (place) setLast(place);
  };
  return { active, onKey, onFocusIn };
}

function firstToken(columns: Column[]): TokenAt | null {
  for (const run of ["clean", "corrupt"] as const) {
    const index = columns.find((column) => column[run] !== null)?.[run];
    if (index !== undefined && index !== null) return { run, index };
  }
  return null;
}

function givesWay(link: Link, preview: Link): boolean {
  return !withLink([link], preview).includes(link);
}

interface LinksProps {
  columns: Column[];
  folds: Folds;
  widths: string[];
  lists: Record<Run, TokenList>;
  /** Whether the link that is being dragged would remove this link. */
  leaving: (link: Link) => boolean;
  /** Missing if nothing can be edited. */
  onRemove: ((place: TokenAt) => void) | null;
}

function Links({ columns, folds, widths, lists, leaving, onRemove }: LinksProps) {
  const inside = covered(columns, folds);
  return (
    <div class="hs-tokens hs-links" data-hs="links">
      {columns.map(({ clean, corrupt, same }, i) =>
        inside[i] ? (
          folds.has(i) && <span key={`fold ${i}`} class="hs-link-column hs-chip-fold" />
        ) : (
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
        ),
      )}
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
