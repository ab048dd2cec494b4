// What SVG files are put together from. They hold text that strangers wrote, as text.

import { toCss } from "./color";
import { CAPTION, EDGE, HEAD } from "./grid_picture";
import { shortenStart, textWidth } from "./text_width";
import type { Palette } from "./theme";

export const round = (n: number): number => Number(n.toFixed(2));

export function text(x: number, y: number, words: string, attributes = ""): string {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes} xml:space="preserve">${escaped(words)}</text>`;
}

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};
/** What XML can't hold, escaped or not: most control characters, and halves of surrogate pairs. */
const UNFIT = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

export const escaped = (words: string): string =>
  words.replace(UNFIT, "\ufffd").replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");

interface Sheet {
  title: string;
  subtitle: string;
  /** Lines under the subtitle. What is too long loses its start. */
  caption: readonly string[];
  palette: Palette;
}

/** A whole file: a heading, and below it a drawing of this size. */
export function sheetOf(
  sheet: Sheet,
  size: { width: number; height: number },
  drawing: readonly string[],
): string {
  const { title, subtitle, caption, palette } = sheet;
  const content = Math.max(size.width, textWidth(subtitle, 12, palette.ui));
  const head = HEAD + CAPTION * caption.length;
  const [width, height] = [content + 2 * EDGE, head + size.height + 2 * EDGE].map(Math.ceil);
  const lines = caption.map((line) => shortenStart(line, content, 11, palette.ui));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
    ` font-family="${escaped(palette.ui)}" font-size="11" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="100%" height="100%" fill="${toCss(palette.bg)}"/>`,
    text(EDGE, EDGE + 12, title, `font-size="13" font-weight="600" fill="${toCss(palette.fg)}"`),
    `<g fill="${toCss(palette.muted)}">`,
    text(EDGE, EDGE + 30, subtitle, 'font-size="12"'),
    ...lines.map((line, i) => text(EDGE, EDGE + 30 + CAPTION * (i + 1), line)),
    "</g>",
    `<g transform="translate(${EDGE} ${EDGE + head})">`,
    ...drawing,
    "</g></svg>\n",
  ].join("");
}
