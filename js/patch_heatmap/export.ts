// The sweep as a table for a spreadsheet and as a picture file.
import { download } from "../lib/clipboard";
import { layoutGrid } from "../lib/grid_layout";
import { paintPicture } from "../lib/grid_paint";
import type { Palette } from "../lib/theme";
import { visibleText } from "../lib/tokens";
import { columnLabels, cornerOf, domainOf, legendTicks, paintCell, rowLabels, scaleOf } from "./cells";
import { EMPTY, EQUAL, type Sweep } from "./result";

/** What is shown, as tab-separated values: rows from top to bottom, full precision, equal cells as their exact 0. */
export function toTable(sweep: Sweep, raw: boolean, flip: boolean): string {
  const columns = columnLabels(sweep).map((label) =>
    label.lines.map((line) => visibleText(line.text)).join(" / "),
  );
  const rows = rowLabels(sweep).map((label, row) => {
    const cells = columns.map((_, column) => tableNumber(sweep, raw, row * columns.length + column));
    return [label.lines[0]?.text ?? "", ...cells].join("\t");
  });
  const head = [cornerOf(sweep), ...columns.map(tableText)].join("\t");
  return [head, ...(flip ? rows.reverse() : rows), ""].join("\n");
}

export function savePicture(
  sweep: Sweep,
  raw: boolean,
  flip: boolean,
  palette: Palette,
  subtitle: string,
): void {
  const [rows, columns, corner] = [rowLabels(sweep), columnLabels(sweep), cornerOf(sweep)];
  const scale = scaleOf(sweep, palette);
  const canvas = document.createElement("canvas");
  paintPicture(canvas, {
    title: "Activation patching",
    subtitle,
    rows,
    columns,
    corner,
    layout: layoutGrid(rows, columns, { room: Number.POSITIVE_INFINITY, flip, corner, mono: palette.mono }),
    paint: (index) => paintCell(sweep, palette, scale, raw, index),
    legend: raw ? null : { scale, domain: domainOf(sweep).domain, ticks: legendTicks(sweep) },
    palette,
  });
  const name = `patching-${sweep.json.params.activation}-${sweep.json.params.direction}.png`;
  canvas.toBlob((blob) => blob && download(blob, name));
}

function tableNumber(sweep: Sweep, raw: boolean, index: number): string {
  if (sweep.state[index] === EMPTY) return "";
  if (sweep.state[index] === EQUAL && !raw) return "0";
  const value = (raw ? sweep.values : sweep.normalized)[index] ?? Number.NaN;
  return Number.isFinite(value) ? String(Number(value.toPrecision(6))) : "";
}

/** A spreadsheet would take a token such as "=" for the start of a formula. */
function tableText(text: string): string {
  return /^[=+\-@]/.test(text) ? `'${text}` : text;
}
