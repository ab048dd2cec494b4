// The opened head as numbers for a spreadsheet and as a picture file.
import { savePng } from "../../lib/clipboard";
import { toCss } from "../../lib/color";
import { sizeCanvas } from "../../lib/grid_paint";
import { placedTicks } from "../../lib/legend";
import { plainCell } from "../../lib/table";
import { textWidth } from "../../lib/text_width";
import { visibleText } from "../../lib/tokens";
import { legendOf } from "./legend";
import { layoutMatrix } from "./matrix_layout";
import { paintMatrix } from "./matrix_paint";
import type { Scene } from "./scene";

export interface Taken {
  scene: Scene;
  head: number;
  values: Float32Array;
}

/** Rows look at columns; masked cells and cells without a number are empty. */
export function toRows({ scene, values }: Taken): string[][] {
  const { tokens } = scene;
  const names = tokens.map((token) => plainCell(visibleText(token)));
  const n = tokens.length;
  const line = (row: number) => Array.from(values.subarray(row * n, (row + 1) * n), precise);
  return [["", ...names], ...names.map((name, row) => [name, ...line(row)])];
}

export function savePicture(taken: Taken, subtitle: string): void {
  const canvas = document.createElement("canvas");
  paintPicture(canvas, taken, subtitle);
  savePng(canvas, fileName(taken));
}

const EDGE = 16;
const HEAD = 48;
const LEGEND = 96;
const ROOM = 760;
const DENSITY = 2;

function paintPicture(canvas: HTMLCanvasElement, { scene, head, values }: Taken, subtitle: string): void {
  const { attention, tokens, palette } = scene;
  const labelled = attention.json.axis_labels !== false;
  const layout = layoutMatrix(tokens, ROOM, palette.mono, { labelled, density: DENSITY });
  const body = document.createElement("canvas");
  const inner = sizeCanvas(body, layout.width, layout.height, DENSITY);
  const width = Math.max(layout.width + LEGEND, textWidth(subtitle, 12, palette.ui)) + 2 * EDGE;
  const context = sizeCanvas(canvas, width, HEAD + layout.height + 2 * EDGE, DENSITY);
  if (!context || !inner) return;
  paintMatrix(inner, { ...scene, layout, values, labelled }, body.width / layout.width);
  context.fillStyle = toCss(palette.bg);
  context.fillRect(0, 0, width, HEAD + layout.height + 2 * EDGE);
  context.fillStyle = toCss(palette.fg);
  context.font = `600 13px ${palette.ui}`;
  context.fillText(attention.titleOf(head), EDGE, EDGE + 12);
  context.fillStyle = toCss(palette.muted);
  context.font = `12px ${palette.ui}`;
  context.fillText(subtitle, EDGE, EDGE + 30);
  context.drawImage(body, EDGE, EDGE + HEAD, layout.width, layout.height);
  context.translate(EDGE + layout.width + 16, EDGE + HEAD);
  paintLegend(context, scene, Math.min(160, Math.max(72, layout.side)));
}

function paintLegend(context: CanvasRenderingContext2D, scene: Scene, height: number): void {
  const legend = legendOf(scene);
  const { scale, domain, low = -domain } = legend;
  for (let y = 0; y < height; y++) {
    context.fillStyle = toCss(scale.fill(domain - ((domain - low) * y) / height));
    context.fillRect(0, y, 8, 1);
  }
  context.font = `11px ${scene.palette.ui}`;
  context.textBaseline = "middle";
  context.fillStyle = toCss(scene.palette.muted);
  for (const { y, text, word } of placedTicks(legend, height)) {
    context.fillText(word ? `${text} ${word}` : text, 14, y);
  }
}

export function fileName({ scene, head }: Taken): string {
  const { attention, side } = scene;
  const name = attention.nameOf(head).replace(/[^\w.]+/g, "-");
  return `attention-${name}${side === "prompt" ? "" : `-${side}`}`;
}

/** Enough digits for a float32. */
function precise(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(9))) : "";
}
