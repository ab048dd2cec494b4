// The size of the lens's cells. Their tokens must be readable, so a grid that does not fit scrolls.
import { type GridLayout, LABEL_SIZE, ONE_PANEL } from "../../lib/grid_layout";
import { textWidth } from "../../lib/text_width";
import { visibleText } from "../../lib/tokens";
import { STACKED } from "./paint";

const MIN_CELL = 52;
const MAX_CELL = 88;
const ROW = 24;
const TALL_ROW = STACKED + 4;
const LOW_ROW = 14;
/** Rows become lower if all of them would exceed this height. */
const COMFORTABLE = 500;

export function layoutLens(
  labels: string[],
  columns: number,
  room: number,
  mono: string,
  { flip, both }: { flip: boolean; both: boolean },
): GridLayout {
  const widest = Math.max(...labels.map((label) => textWidth(visibleText(label), LABEL_SIZE, mono)));
  const gutter = Math.ceil(Math.max(widest, textWidth("layer", LABEL_SIZE, mono))) + 12;
  const offered = Math.floor((room - gutter - 4) / Math.max(1, columns));
  const rows = labels.length;
  const height = both && rows * TALL_ROW <= COMFORTABLE ? TALL_ROW : ROW;
  return {
    ...ONE_PANEL,
    rows,
    columns,
    cellWidth: Math.max(MIN_CELL, Math.min(MAX_CELL, offered)),
    cellHeight: Math.max(LOW_ROW, Math.min(height, Math.floor(COMFORTABLE / rows))),
    gutter,
    footer: both ? 38 : 24,
    labels: "level",
    flip,
  };
}

/** Beyond this height the rows scroll too. */
export const MAX_HEIGHT = 720;
