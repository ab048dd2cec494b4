// Exports a table, all numbers for a spreadsheet, and a picture file.
import { savePng } from "../../lib/clipboard";
import { type GridLabel, type GridShape, labelCell, layoutGrid, plainLabel } from "../../lib/grid_layout";
import { paintPicture } from "../../lib/grid_picture";
import { captionOf } from "../../lib/picture_caption";
import { range } from "../../lib/range";
import { numberCell, plainCell, toCsv, toTsv } from "../../lib/table";
import { shorten } from "../../lib/text_width";
import type { Palette } from "../../lib/theme";
import { visibleText } from "../../lib/tokens";
import type { Attributed, Attribution } from "./attribution";
import { headMap } from "./by_head";
import { layoutLens } from "./layout";
import { colorsOf, legendOf, type Scaled, shownValue } from "./measures";
import type { Lens, Side } from "./result";
import { columnTokens, readAt, type Shown, tokenText } from "./sides";

export interface View {
  lens: Lens;
  shown: Shown;
  scaled: Scaled | null;
  columns: readonly [number, number];
  rising: boolean;
}

/** The largest number of columns in a picture, since browsers don't draw much wider canvases. */
const PICTURE_COLUMNS = 150;
const CELL = 74;

/** Rows from top to bottom as shown, with the likeliest token in each cell. */
export function toTable({ lens, shown, columns, rising }: View): string {
  const positions = loadedColumns(shown, columns);
  const head = ["layer", ...positions.map((position) => labelCell(columnLabel(lens, shown, position)))];
  const rows = lens.json.labels.map((label, row) => {
    return [plainCell(label), ...positions.map((position) => plainCell(topText(lens, shown, row, position)))];
  });
  return toTsv([head, ...(rising ? rows.reverse() : rows)]);
}

/** One line for each cell and side, with full precision. */
export function lensCsv({ lens, shown, columns }: View): string {
  const { targets, labels } = lens.json;
  const followed = targets.flatMap(({ text }) => [`p ${visibleText(text)}`, `rank ${visibleText(text)}`]);
  const head = [
    "side",
    "row",
    "position",
    "token",
    "top",
    "probability",
    "entropy_nats",
    "kl_nats",
    ...followed,
  ];
  const line = (side: Side, row: number, position: number): string[] => {
    const cell = row * side.positions + position;
    const perTarget = targets.flatMap((_, i) => [
      side.target_prob[cell * side.t + i],
      side.target_rank[cell * side.t + i],
    ]);
    const numbers = [side.top_probs[cell * side.k], side.entropy[cell], side.kl_to_final[cell], ...perTarget];
    const texts = [side.tokens[position] ?? "", tokenText(lens, side.top_ids[cell * side.k] ?? -1)];
    return [
      side.name,
      labels[row] ?? "",
      String(position),
      ...texts.map((text) => plainCell(visibleText(text))),
      ...numbers.map((value) => numberCell(value)),
    ];
  };
  const lines = loadedColumns(shown, columns).flatMap((position) =>
    readAt(shown, position).flatMap(({ side, position: at }) =>
      range(lens.rows).map((row) => line(side, row, at)),
    ),
  );
  return toCsv([head, ...lines]);
}

export function attributionRows(attribution: Attribution, shown: Attributed): string[][] {
  const values = attribution.json.labels.map((label, i) => [plainCell(label), numberCell(shown.values[i])]);
  return [["component", attribution.json.quantity], ...values, ["total", numberCell(shown.total)]];
}

/** The shown columns, as many as a picture can have. */
export function saveLensPicture(view: View, palette: Palette, title: string, subtitle: string): void {
  const { lens, shown, scaled, rising } = view;
  const positions = loadedColumns(shown, view.columns).slice(0, PICTURE_COLUMNS);
  const rows = lens.json.labels.map((text) => plainLabel(text, text));
  const columns = positions.map((position) => columnLabel(lens, shown, position));
  const shape: GridShape = {
    rows,
    columns,
    panels: [],
    corner: "layer",
    flip: rising,
    rise: rising,
    compact: false,
  };
  const sized = layoutLens(lens.json.labels, columns.length, 0, palette.mono, { flip: rising, both: false });
  const layout = { ...sized, cellWidth: CELL, footer: 38 };
  const value = scaled && shownValue(shown, scaled);
  const colors = scaled && colorsOf(scaled, palette);
  savePicture(`logit-lens-${lens.json.params.stream}`, {
    title,
    subtitle,
    caption: captionOf(lens.json),
    shape,
    layout,
    palette,
    paint: (index) => {
      const [row, position] = [Math.floor(index / columns.length), positions[index % columns.length] ?? 0];
      const at = value?.(row, position) ?? Number.NaN;
      const known = Number.isFinite(at) && colors;
      const text = shorten(topText(lens, shown, row, position), CELL - 6, 11, palette.mono);
      return {
        fill: known ? colors.fill(at) : palette.soft,
        ink: known ? colors.ink(at) : palette.fg,
        text,
        mark: null,
      };
    },
    legend: scaled && legendOf(lens, scaled, palette),
  });
}

export function saveAttributionPicture(
  attribution: Attribution,
  shown: Attributed,
  rising: boolean,
  palette: Palette,
  subtitle: string,
): void {
  const { shape, paint, legend } = headMap(attribution, shown, rising, palette);
  const layout = layoutGrid({ ...shape, compact: false }, Number.POSITIVE_INFINITY, palette.mono);
  const title = "Direct logit attribution";
  const { answer, wrong_answer } = attribution.json.params;
  const caption = captionOf(attribution.json, [answer, wrong_answer]);
  savePicture("logit-attribution", { title, subtitle, caption, shape, layout, paint, legend, palette });
}

function savePicture(name: string, picture: Parameters<typeof paintPicture>[1]): void {
  const canvas = document.createElement("canvas");
  paintPicture(canvas, picture);
  savePng(canvas, name);
}

function loadedColumns({ first }: Shown, [start, stop]: readonly [number, number]): number[] {
  return range(stop - start)
    .map((i) => start + i)
    .filter((position) => first.loaded[position]);
}

function columnLabel(lens: Lens, shown: Shown, position: number): GridLabel {
  return { lines: columnTokens(lens, shown, position), title: `position ${position}` };
}

/** The likeliest token; in a difference, the likeliest of both sides if they differ. */
function topText(lens: Lens, shown: Shown, row: number, position: number): string {
  const texts = readAt(shown, position).map(({ side, position: at }) => {
    return visibleText(tokenText(lens, side.top_ids[(row * side.positions + at) * side.k] ?? -1));
  });
  return [...new Set(texts)].join("|");
}
