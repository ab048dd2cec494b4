// The drawing of a circuit as SVG, with text as text. It looks as the picture of pixels does, and needs no style sheet.
import { toCss } from "../../lib/color";
import { CAPTION, EDGE, HEAD } from "../../lib/grid_picture";
import { shortenStart, textWidth } from "../../lib/text_width";
import { type Figure, FOOT, LEGEND_WIDTH, legendOf, STROKE, TO_WORDS } from "./figure";
import { NODE_HEIGHT, pathOf } from "./layout";
import { DASHES, inkOf, largestOf, linesOf, opacityOf, widthOf } from "./lines";
import { edgeName, shortName, sizeWords } from "./words";

export function circuitSvg(figure: Figure): string {
  const { layout, title, subtitle, caption, palette } = figure;
  const content = Math.max(layout.width, LEGEND_WIDTH, textWidth(subtitle, 12, palette.ui));
  const head = HEAD + CAPTION * caption.length;
  const [width, height] = [content + 2 * EDGE, head + layout.height + FOOT + 2 * EDGE].map(Math.ceil);
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
    ...rows(figure),
    ...edgesOf(figure),
    ...nodes(figure),
    ...legend(figure),
    "</g></svg>\n",
  ].join("");
}

function rows({ layout, palette }: Figure): string[] {
  return layout.rows.flatMap(({ layer, y }) => [
    `<path d="M22 ${round(y)}H${round(layout.width)}" stroke="${toCss(palette.zero)}"/>`,
    text(0, y + 4, String(layer), `font-family="${escaped(palette.mono)}" fill="${toCss(palette.muted)}"`),
  ]);
}

function edgesOf({ layout, edges, graph, palette }: Figure): string[] {
  const [lines, largest] = [linesOf(layout, edges), largestOf(edges)];
  const drawn = lines.map(({ edge, curve }) => {
    const words = `${edgeName(edge)}: ${sizeWords(edge, graph.json.params.metric)}`;
    const ink = `stroke="${toCss(inkOf(edge, palette))}" stroke-width="${round(widthOf(edge, largest))}"`;
    const opacity = round(opacityOf(edge, largest, lines.length));
    const dashes = edge.kept ? `stroke-dasharray="${DASHES}" ` : "";
    return `<path d="${pathOf(curve)}" ${dashes}${ink} opacity="${opacity}"><title>${escaped(words)}</title></path>`;
  });
  return ['<g fill="none" stroke-linecap="round">', ...drawn.reverse(), "</g>"];
}

function nodes({ layout, palette }: Figure): string[] {
  const drawn = [...layout.boxes.values()].map(({ name, x, y, width }) => {
    const corner = `x="${round(x - width / 2)}" y="${round(y - NODE_HEIGHT / 2)}"`;
    const fill = `fill="${toCss(palette.bg)}" stroke="${toCss(palette.faint)}"`;
    const box = `<rect ${corner} width="${round(width)}" height="${NODE_HEIGHT}" rx="4" ${fill}/>`;
    return box + text(x, y + 4, shortName(name), `fill="${toCss(palette.fg)}"`);
  });
  return [`<g text-anchor="middle" font-family="${escaped(palette.mono)}">`, ...drawn, "</g>"];
}

function legend({ layout, edges, palette }: Figure): string[] {
  const y = layout.height + FOOT / 2;
  return legendOf(edges).flatMap(({ x, ink, width, words }) => {
    const stroke = `stroke="${toCss(palette[ink])}" stroke-width="${width}"`;
    return [
      `<path d="M${x} ${round(y)}h${STROKE}" ${stroke}/>`,
      text(x + TO_WORDS, y + 4, words, `fill="${toCss(palette.muted)}"`),
    ];
  });
}

const round = (n: number): number => Number(n.toFixed(2));

function text(x: number, y: number, words: string, attributes = ""): string {
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
