// The layout of a graph, on the screen and in files: how wide names and tokens are.
import { textWidth } from "../../lib/text_width";
import type { Palette } from "../../lib/theme";
import { visibleText } from "../../lib/tokens";
import type { Graph } from "./graph";
import { type Layout, layoutOf, type Unit, unitsOf } from "./layout";
import type { Pruned } from "./prune";
import { boxName, type Names } from "./words";

const FONT = 11;
const PADDING = 8;
const WIDEST = 132;
/** How much wider bold text is. */
const BOLD = 1.12;
export const TOKEN_FONT = 12;

export interface Arranged {
  graph: Graph;
  shown: Pruned;
  groups: Readonly<Record<string, readonly string[]>>;
  names: Names;
  rising: boolean;
  /** Whether nodes are boxes with their names. */
  named: boolean;
}

export function arrange(picture: Arranged, width: number, { ui, mono }: Palette): Layout {
  const { graph, shown, groups, names, rising, named } = picture;
  const { n_layers: layers, prompt } = graph.json;
  const boxOf = (unit: Unit): number => {
    const wider = unit.group === null ? 1 : BOLD;
    const words = textWidth(boxName(graph, names, unit), FONT, ui);
    return Math.min(WIDEST, Math.ceil(wider * words) + 2 * PADDING);
  };
  const tokens = prompt.tokens.map((token) =>
    Math.min(WIDEST, textWidth(visibleText(token), TOKEN_FONT, mono) + PADDING),
  );
  return layoutOf(unitsOf(shown.nodes, groups, named), {
    layers,
    tokens,
    width,
    rising,
    boxOf: named ? boxOf : null,
  });
}
