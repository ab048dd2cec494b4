// The lines between tokens that correspond, and the one that is being drawn.
import type { TokenAt } from "./alignment";
import type { Drag } from "./drag";
import { spoken } from "./token_row";
import type { Column, Link, Run, TokenList } from "./types";

interface LinksProps {
  columns: Column[];
  widths: string[];
  lists: Record<Run, TokenList>;
  /** Of the link that is being dragged those that give way to it, fainter. */
  leaving: (link: Link) => boolean;
  /** Missing where nothing can be edited. */
  onRemove: ((place: TokenAt) => void) | null;
}

export function Links({ columns, widths, lists, leaving, onRemove }: LinksProps) {
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

/** The keyboard removes links at their tokens, so Tab passes them by. */
function LinkLine({ same, leaving, label, onRemove }: LinkLineProps) {
  const looks = `hs-link${same ? "" : " hs-link-differs"}${leaving ? " hs-link-leaving" : ""}`;
  if (!onRemove) return <i class={looks} data-hs="link" />;
  return (
    <button
      type="button"
      class={looks}
      data-hs="link"
      tabIndex={-1}
      title="Remove this link"
      aria-label={label}
      onClick={onRemove}
    />
  );
}

export function DragLine({ drag }: { drag: Drag }) {
  return (
    <svg class="hs-drag" aria-hidden="true" data-hs="drag">
      <path d={drag.path} class={drag.over ? undefined : "hs-drag-open"} />
    </svg>
  );
}
