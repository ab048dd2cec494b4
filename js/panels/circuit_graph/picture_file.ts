// The drawing of a circuit as a picture file.
import { savePng } from "../../lib/clipboard";
import { toCss } from "../../lib/color";
import { paintFrame } from "../../lib/grid_picture";
import { captionOf } from "../../lib/picture_caption";
import type { Palette } from "../../lib/theme";
import type { Edge, Graph } from "./graph";
import { type Layout, layoutCircuit, NODE_HEIGHT } from "./layout";
import { linesOf, paintEdges, sizeOf } from "./picture";
import { shortName } from "./words";

const WIDTH = 720;

interface CircuitPicture {
  name: string;
  title: string;
  subtitle: string;
  graph: Graph;
  nodes: readonly string[];
  edges: readonly Edge[];
  rising: boolean;
  palette: Palette;
}

export function saveCircuitPicture(picture: CircuitPicture): void {
  const { name, graph, nodes, edges, rising, palette } = picture;
  const layout = layoutCircuit(nodes, graph.nodes, WIDTH, rising);
  const canvas = document.createElement("canvas");
  const { pair } = graph.json.params;
  const sides = pair ? { clean: { text: pair.clean }, corrupt: { text: pair.corrupt } } : {};
  const caption = captionOf({ ...graph.json, sides });
  const context = paintFrame(canvas, { ...picture, caption, legend: null }, layout);
  if (!context) return;
  paintRows(context, layout, palette);
  paintEdges(context, linesOf(layout, edges), { largest: Math.max(...edges.map(sizeOf)), palette });
  paintNodes(context, layout, palette);
  savePng(canvas, name);
}

function paintRows(context: CanvasRenderingContext2D, layout: Layout, palette: Palette): void {
  context.font = `11px ${palette.mono}`;
  context.textBaseline = "middle";
  for (const { layer, y } of layout.rows) {
    context.fillStyle = toCss(palette.zero);
    context.fillRect(22, y, layout.width - 22, 1);
    context.fillStyle = toCss(palette.muted);
    context.fillText(String(layer), 0, y);
  }
}

function paintNodes(context: CanvasRenderingContext2D, layout: Layout, palette: Palette): void {
  context.textAlign = "center";
  context.lineWidth = 1;
  for (const { name, x, y, width } of layout.boxes.values()) {
    context.beginPath();
    context.roundRect(x - width / 2, y - NODE_HEIGHT / 2, width, NODE_HEIGHT, 4);
    context.fillStyle = toCss(palette.bg);
    context.fill();
    context.strokeStyle = toCss(palette.faint);
    context.stroke();
    context.fillStyle = toCss(palette.fg);
    context.fillText(shortName(name), x, y + 0.5);
  }
}
