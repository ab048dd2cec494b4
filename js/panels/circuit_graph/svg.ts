// The drawing of a circuit as SVG, with text as text. It looks as the picture of pixels does, and needs no style sheet.
import { toCss } from "../../lib/color";
import { escaped, round, sheetOf, text } from "../../lib/svg";
import { type Figure, FOOT, LEGEND_WIDTH, legendOf, STROKE, TO_WORDS } from "./figure";
import { NODE_HEIGHT, pathOf } from "./layout";
import { DASHES, inkOf, largestOf, linesOf, opacityOf, widthOf } from "./lines";
import { edgeName, shortName, sizeWords } from "./words";

export function circuitSvg(figure: Figure): string {
  const { layout } = figure;
  const width = Math.max(layout.width, LEGEND_WIDTH);
  return sheetOf(figure, { width, height: layout.height + FOOT }, [
    ...rows(figure),
    ...edgesOf(figure),
    ...nodes(figure),
    ...legend(figure),
  ]);
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
