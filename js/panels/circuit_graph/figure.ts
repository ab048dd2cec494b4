// A circuit as a figure by itself, whatever kind of file it becomes: its layout, its caption, and what its legend says.
import { percent } from "../../lib/format";
import { captionOf } from "../../lib/picture_caption";
import type { Palette } from "../../lib/theme";
import { arrangementOf, type Drawn, withGroups } from "./arrangement";
import type { Edge, Graph } from "./graph";
import { type Group, grouped } from "./groups";
import type { Layout } from "./layout";
import { sizeOf, WIDEST } from "./lines";

const WIDTH = 720;
/** Below the drawing, for the legend, which may be wider. */
export const FOOT = 32;
export const LEGEND_WIDTH = 500;

export interface CircuitPicture extends Omit<Drawn, "all"> {
  name: string;
  title: string;
  subtitle: string;
  graph: Graph;
  groups: readonly Group[];
  palette: Palette;
}

export interface Figure extends CircuitPicture {
  layout: Layout;
  caption: string[];
}

export function figureOf(picture: CircuitPicture): Figure {
  const { graph, groups } = picture;
  const { pair } = graph.json.params;
  const sides = pair ? { clean: { text: pair.clean }, corrupt: { text: pair.corrupt } } : {};
  const layout = withGroups(arrangementOf({ ...picture, all: graph.nodes })(WIDTH), groups);
  return {
    ...picture,
    edges: grouped(picture.edges, groups),
    layout,
    caption: captionOf({ ...graph.json, sides }),
  };
}

/** What a colour or a width means. */
interface LegendEntry {
  /** Where its stroke begins. */
  x: number;
  ink: "clean" | "corrupt" | "muted";
  width: number;
  words: string;
}

export const STROKE = 20;
export const TO_WORDS = 28;

export function legendOf(edges: readonly Edge[]): LegendEntry[] {
  const share = [...edges].sort((a, b) => sizeOf(b) - sizeOf(a))[0]?.share ?? Number.NaN;
  const largest = Number.isFinite(share)
    ? `${percent(Math.abs(share)).replace("+", "")} of the gap`
    : "the largest effect";
  return [
    { x: 0, ink: "clean", width: 3, words: "what the clean prompt has more of" },
    { x: 240, ink: "corrupt", width: 3, words: "the reverse" },
    { x: 344, ink: "muted", width: WIDEST, words: largest },
  ];
}
