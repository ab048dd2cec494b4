// Lists beside the picture: edges or senders with a bar for their size.
import type { ComponentChildren } from "preact";
import { percent } from "./format";

export interface Row {
  key: string;
  text: ComponentChildren;
  share: number;
  /** What is written beside the bar; by default the share. */
  number?: string;
  /** In words, for a tooltip. */
  title: string;
  onHover?(over: boolean): void;
  onClick?: (() => void) | undefined;
  /** Beside the row, such as a button that opens it, and what is then below it. */
  beside?: ComponentChildren;
}

interface ListProps {
  name: string;
  title: string;
  rows: readonly Row[];
  /** How many rows there are in all. */
  count?: number;
  largest: number;
  /** In place of rows. */
  nothing: string;
}

export function BarList({ name, title, rows, count = rows.length, largest, nothing }: ListProps) {
  return (
    <section class="hs-bars" data-hs={name} aria-label={title}>
      <h3>
        {title}
        {count > rows.length && <span>{` \u00b7 ${rows.length} of ${count}`}</span>}
      </h3>
      {rows.length === 0 ? (
        <p class="hs-muted">{nothing}</p>
      ) : (
        <ol>
          {rows.map((row) => (
            <li key={row.key} class={row.beside ? "hs-bar-item" : undefined}>
              <OneRow row={row} largest={largest} />
              {row.beside}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function OneRow({ row, largest }: { row: Row; largest: number }) {
  const { text, share, number, title, onHover, onClick } = row;
  const part = Math.min(1, Math.abs(share) / (largest || 1)) || 0;
  const hover = {
    onPointerEnter: () => onHover?.(true),
    onPointerLeave: () => onHover?.(false),
    onFocus: () => onHover?.(true),
    onBlur: () => onHover?.(false),
  };
  const content = (
    <>
      <span class="hs-bar-name hs-cut">{text}</span>
      <span class="hs-mini" aria-hidden="true">
        <i class={`hs-fill-${share < 0 ? "corrupt" : "clean"}`} style={{ width: `${100 * part}%` }} />
      </span>
      <span class="hs-bar-number">{number ?? percent(share)}</span>
    </>
  );
  return onClick ? (
    <button type="button" class="hs-plain hs-focusable hs-bar-row" title={title} onClick={onClick} {...hover}>
      {content}
    </button>
  ) : (
    <div class="hs-bar-row" title={title} {...hover}>
      {content}
    </div>
  );
}
