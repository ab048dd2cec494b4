// The picture as a file. It looks as on the screen, has its words as text, and needs no style sheet.
import { saveFile, savePng } from "../../lib/clipboard";
import { toCss } from "../../lib/color";
import { captionOf } from "../../lib/picture_caption";
import { escaped, round, sheetOf, text } from "../../lib/svg";
import { shorten } from "../../lib/text_width";
import type { Palette } from "../../lib/theme";
import { visibleText } from "../../lib/tokens";
import { type Arranged, arrange, TOKEN_FONT } from "./arrange";
import type { Layout, Spot } from "./layout";
import { curveOf, inkOf, linesOf, opacityOf, widthOf } from "./lines";
import { boxName, titleOf } from "./words";

const WIDTH = 720;
/** Below the drawing, for the tokens, and for the legend. */
const TOKENS = 24;
const FOOT = 32;
const LEGEND_WIDTH = 520;
/** Device pixels per CSS pixel. */
const DENSITY = 2;
const NAME = "attribution_graph";

export interface GraphPicture extends Arranged {
  title: string;
  subtitle: string;
  marked: ReadonlySet<string>;
  palette: Palette;
}

const below = (named: boolean): number => (named ? FOOT : TOKENS + FOOT);

type Drawn = GraphPicture & { layout: Layout };

export function saveGraphSvg(picture: GraphPicture): void {
  saveFile(graphSvg(picture), `${NAME}.svg`, "image/svg+xml");
}

/** The same drawing as pixels. */
export function saveGraphPng(picture: GraphPicture): void {
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width * DENSITY, image.height * DENSITY];
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    savePng(canvas, NAME);
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(graphSvg(picture))}`;
}

export function graphSvg(picture: GraphPicture): string {
  const { graph, named, palette } = picture;
  const { prompt, provenance } = graph.json;
  const layout = arrange(picture, WIDTH, palette);
  const drawn = { ...picture, layout };
  const caption = captionOf({ provenance, params: {}, sides: { prompt } });
  const size = { width: Math.max(layout.width, LEGEND_WIDTH), height: layout.height + below(named) };
  return sheetOf({ ...picture, caption }, size, [
    ...rows(drawn),
    ...edges(drawn),
    '<g text-anchor="middle">',
    ...[...layout.spots.values()].map((spot) => (named ? box(drawn, spot) : dot(drawn, spot))),
    ...tokens(drawn),
    "</g>",
    ...legend(drawn),
  ]);
}

function rows({ layout, palette }: Drawn): string[] {
  return layout.rows.flatMap(({ label, y }) => [
    `<path d="M44 ${round(y)}H${round(layout.width)}" stroke="${toCss(palette.zero)}"/>`,
    text(0, y + 4, label, `font-family="${escaped(palette.mono)}" fill="${toCss(palette.muted)}"`),
  ]);
}

function edges({ layout, shown, palette }: Drawn): string[] {
  const lines = linesOf(layout, shown.edges);
  const most = lines[0]?.flow ?? 0;
  const drawn = lines.map((line) => {
    const [x0, y0, ...others] = curveOf(line).map(round);
    const ink = `stroke="${toCss(inkOf(line, palette))}" stroke-width="${round(widthOf(line, most))}"`;
    return `<path d="M${x0} ${y0}C${others.join(" ")}" ${ink} opacity="${round(opacityOf(line, most))}"/>`;
  });
  return ['<g fill="none" stroke-linecap="round">', ...drawn.reverse(), "</g>"];
}

function box({ graph, names, palette, marked }: Drawn, spot: Spot): string {
  const { x, y, width, height, group, nodes } = spot;
  const [{ kind }] = nodes;
  const input = group === null && (kind === "token" || kind === "position" || kind === "logit");
  const fill = toCss(input ? palette.zero : palette.bg);
  const stroke = input
    ? "none"
    : toCss(group === null && !nodes.every(({ id }) => marked.has(id)) ? palette.faint : palette.fg);
  const dashes = group === null && kind === "error" ? ' stroke-dasharray="3 2"' : "";
  const corner = `x="${round(x - width / 2)}" y="${round(y - height / 2)}" width="${round(width)}" height="${height}"`;
  const weight = group === null ? "" : ' font-weight="600"';
  return [
    `<g><title>${escaped(titleOf(graph, names, spot))}</title>`,
    `<rect ${corner} rx="${group === null ? 4 : 11}" fill="${fill}" stroke="${stroke}"${dashes}/>`,
    text(x, y + 4, boxName(graph, names, spot), `fill="${toCss(palette.fg)}"${weight}`),
    "</g>",
  ].join("");
}

function dot({ graph, names, palette, marked }: Drawn, spot: Spot): string {
  const { x, y, group, nodes } = spot;
  const [{ kind }] = nodes;
  const faint = group === null && (kind === "error" || kind === "position");
  const fill = toCss(nodes.every(({ id }) => marked.has(id)) ? palette.fg : palette.bg);
  const open = nodes.some(({ row, traced }) => row !== null && !traced) ? ' stroke-dasharray="1.5 1.5"' : "";
  const ink = `fill="${fill}" stroke="${toCss(faint ? palette.faint : palette.fg)}" stroke-width="${group === null ? 1.5 : 3}"${open}`;
  const square = (half: number, corner: number, turn = "") =>
    `<rect x="${round(x - half)}" y="${round(y - half)}" width="${2 * half}" height="${2 * half}" rx="${corner}"${turn} ${ink}>`;
  const turned = ` transform="rotate(45 ${round(x)} ${round(y)})"`;
  const title = `<title>${escaped(titleOf(graph, names, spot))}</title>`;
  if (group !== null) return `${square(4.5, 3)}${title}</rect>`;
  if (kind === "feature")
    return `<circle cx="${round(x)}" cy="${round(y)}" r="5.25" ${ink}>${title}</circle>`;
  if (kind === "error") return `${square(3.7, 0, turned)}${title}</rect>`;
  return `${square(kind === "position" ? 3.7 : 5.25, 1.5)}${title}</rect>`;
}

function tokens({ layout, graph, named, palette }: Drawn): string[] {
  if (named) return [];
  const font = `font-size="${TOKEN_FONT}" font-family="${escaped(palette.mono)}" fill="${toCss(palette.fg)}"`;
  return layout.columns.map(({ position, x, width }) => {
    const token = visibleText(graph.json.prompt.tokens[position] ?? "");
    return text(x + width / 2, layout.height + 12, shorten(token, width, TOKEN_FONT, palette.mono), font);
  });
}

function legend({ layout, named, palette }: Drawn): string[] {
  const y = layout.height + below(named) - FOOT / 2;
  const entries = [
    { x: 0, ink: palette.clean, words: "adds" },
    { x: 72, ink: palette.corrupt, words: "subtracts" },
  ];
  return [
    ...entries.flatMap(({ x, ink, words }) => [
      `<path d="M${x} ${round(y)}h16" stroke="${toCss(ink)}" stroke-width="3"/>`,
      text(x + 22, y + 4, words, `fill="${toCss(palette.muted)}"`),
    ]),
    text(172, y + 4, "width: the influence that flows through an edge", `fill="${toCss(palette.muted)}"`),
  ];
}
