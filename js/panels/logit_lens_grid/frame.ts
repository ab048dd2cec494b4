// Prepares a frame for painting: each cell's place on the scale, its token, and the tokens' texts cut to their cells.
import { toCss } from "../../lib/color";
import { type GridLayout, LABEL_SIZE } from "../../lib/grid_layout";
import { range } from "../../lib/range";
import { shorten, textWidth } from "../../lib/text_width";
import type { Palette } from "../../lib/theme";
import { tokenParts } from "../../lib/tokens";
import { colorsOf, type Scaled, shownValue } from "./measures";
import type { Axis, AxisLine, CellText, Frame } from "./paint";
import type { Lens } from "./result";
import { columnTokens, isAlone, type Shown, tokenText } from "./sides";

const SHADES = 254;

export interface FrameOf {
  lens: Lens;
  shown: Shown;
  /** null if nothing can be coloured. */
  scaled: Scaled | null;
  layout: GridLayout;
  columns: readonly [number, number];
  palette: Palette;
}

export function frameOf({ lens, shown, scaled, layout, columns, palette }: FrameOf): Frame {
  const { positions } = shown.first;
  const { cellWidth, cellHeight, flip } = layout;
  const alone = Uint8Array.from(range(positions), (position) => Number(isAlone(shown, position)));
  const colors = scaled && colorsOf(scaled, palette);
  const shadeValue = (shade: number) =>
    scaled ? scaled.low + ((shade - 1) / SHADES) * (scaled.high - scaled.low) : 0;
  const shades = range(SHADES + 2).map(shadeValue);
  return {
    rows: lens.rows,
    positions,
    start: columns[0],
    stop: columns[1],
    cellWidth,
    cellHeight,
    flip,
    shades: shadesOf(lens, shown, scaled),
    fills: shades.map((value) => toCss(colors ? colors.fill(value) : palette.zero)),
    // A cell without a value shows the background.
    inks: shades.map((value, shade) => toCss(shade && colors ? colors.ink(value) : palette.fg)),
    ...tokensOf(lens, shown),
    alone,
    hatch: toCss(palette.faint),
    empty: toCss(palette.soft),
    font: `${LABEL_SIZE}px ${palette.mono}`,
    textOf: textCutter(cellWidth - 5, palette.mono, (id) => tokenText(lens, id)),
  };
}

/** The labels under each column. Texts are cut when a column is first visible. */
export function labelsOf({ lens, shown, layout, palette }: FrameOf): Axis["linesOf"] {
  const known = new Map<number, AxisLine[]>();
  return (position) => {
    const found = known.get(position);
    if (found) return found;
    const lines = columnTokens(lens, shown, position).map(({ text, tone }) => {
      return { label: cutText(text, layout.cellWidth - 5, palette.mono), tone };
    });
    known.set(position, lines);
    return lines;
  };
}

export function axisInks({ clean, corrupt, muted, fg, zero }: Palette): Axis["inks"] {
  const inks = { clean, corrupt, muted, fg, chosen: zero };
  return Object.fromEntries(Object.entries(inks).map(([name, ink]) => [name, toCss(ink)])) as Axis["inks"];
}

function shadesOf(lens: Lens, shown: Shown, scaled: Scaled | null): Uint8Array {
  const { positions } = shown.first;
  const shades = new Uint8Array(lens.rows * positions);
  if (!scaled) return shades;
  const value = shownValue(shown, scaled);
  const { low, high } = scaled;
  for (let row = 0; row < lens.rows; row++) {
    for (let position = 0; position < positions; position++) {
      const share = (value(row, position) - low) / (high - low);
      if (!Number.isFinite(share)) continue;
      shades[row * positions + position] = 1 + Math.round(Math.min(1, Math.max(0, share)) * SHADES);
    }
  }
  return shades;
}

function tokensOf(lens: Lens, { first, second, partners }: Shown): Pick<Frame, "ids" | "otherIds"> {
  const { positions } = first;
  const ids = new Int32Array(lens.rows * positions).fill(-1);
  const otherIds = second && new Int32Array(ids.length).fill(-1);
  for (let position = 0; position < positions; position++) {
    if (!first.loaded[position]) continue;
    const partner = partners?.[position] ?? -1;
    for (let row = 0; row < lens.rows; row++) {
      const cell = row * positions + position;
      const id = first.top_ids[cell * first.k] ?? -1;
      ids[cell] = id;
      if (!second || !otherIds || !second.loaded[partner]) continue;
      const other = second.top_ids[(row * second.positions + partner) * second.k] ?? -1;
      otherIds[cell] = other === id ? -1 : other;
    }
  }
  return { ids, otherIds };
}

/** Texts by token, each cut and measured once. */
function textCutter(room: number, mono: string, textOf: (id: number) => string): (id: number) => CellText {
  const known = new Map<number, CellText>();
  return (id) => {
    const found = known.get(id);
    if (found) return found;
    const cut = cutText(textOf(id), room, mono);
    known.set(id, cut);
    return cut;
  };
}

function cutText(token: string, room: number, mono: string): CellText {
  const [first, ...rest] = tokenParts(token);
  const spaced = first?.mark === true && rest.length > 0;
  const mark = spaced ? first.text : "";
  const all = (spaced ? rest : [...(first ? [first] : []), ...rest]).map((part) => part.text).join("");
  const markWidth = mark ? textWidth(mark, LABEL_SIZE, mono) : 0;
  const text = shorten(all, room - markWidth, LABEL_SIZE, mono);
  return { mark, text, markWidth, width: textWidth(text, LABEL_SIZE, mono) };
}
