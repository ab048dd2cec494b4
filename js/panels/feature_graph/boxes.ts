// Nodes as boxes with names.
import { textWidth } from "../../lib/text_width";
import type { Graph } from "./graph";
import type { Unit } from "./layout";
import { boxName, type Names } from "./words";

const FONT = 11;
const PADDING = 8;
const WIDEST = 132;
/** How much wider bold text is. */
const BOLD = 1.12;

export function boxWidth(graph: Graph, names: Names, family: string) {
  return (unit: Unit): number => {
    const wider = unit.group === null ? 1 : BOLD;
    return Math.min(
      WIDEST,
      Math.ceil(wider * textWidth(boxName(graph, names, unit), FONT, family)) + 2 * PADDING,
    );
  };
}
