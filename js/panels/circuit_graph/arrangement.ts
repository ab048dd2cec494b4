// Where a circuit's nodes go, and how much smaller than life all of them fit into the view.
import { useMemo } from "preact/hooks";
import { textWidth } from "../../lib/text_width";
import { crossedBy, flowOf, layoutFlow, MOST_CROSSED } from "./flow";
import type { Edge } from "./graph";
import { type Group, groupOf, membership } from "./groups";
import { type Box, type Layout, layoutCircuit } from "./layout";

export type Arrange = "head" | "flow";

/** What is drawn, whatever the size of the picture. */
export interface Drawn {
  nodes: readonly string[];
  /** All nodes of the model, which say how many columns there are. */
  all: readonly string[];
  edges: readonly Edge[];
  rising: boolean;
  arrange: Arrange;
}

export const fitsFlow = ({ nodes, edges }: Pick<Drawn, "nodes" | "edges">): boolean =>
  crossedBy(nodes, edges) <= MOST_CROSSED;

/** A function from the width of a view to the layout in it. */
export function arrangementOf({ nodes, all, edges, rising, arrange }: Drawn): (width: number) => Layout {
  if (arrange === "head" || !fitsFlow({ nodes, edges }))
    return (width) => layoutCircuit(nodes, all, width, rising);
  const flow = flowOf(nodes, edges);
  return (width) => layoutFlow(flow, width, rising);
}

/** A picture that is higher is made smaller. */
const HIGHEST = 720;

export interface Fitted {
  layout: Layout;
  /** At which all of it fits, 1 at most. */
  scale: number;
  height: number;
}

/** A picture that has to be made smaller because of its height is wider in turn. */
export function fitted(arrangement: (width: number) => Layout, width: number): Fitted {
  const scaleOf = (layout: Layout) => Math.min(1, width / layout.width, HIGHEST / layout.height);
  const first = arrangement(width);
  const layout = scaleOf(first) < 1 ? arrangement(width / scaleOf(first)) : first;
  const scale = scaleOf(layout);
  return { layout, scale, height: Math.ceil(layout.height * scale) };
}

export function useFitted(drawn: Drawn, groups: readonly Group[], width: number): Fitted {
  const { nodes, all, edges, rising, arrange } = drawn;
  const byFlow = arrange === "flow";
  const arrangement = useMemo(() => arrangementOf(drawn), [nodes, all, byFlow && edges, rising, arrange]);
  return useMemo(() => {
    const found = fitted(arrangement, width);
    return groups.length === 0 ? found : { ...found, layout: withGroups(found.layout, groups) };
  }, [arrangement, width, groups]);
}

const GROUP_FONT = { size: 11, room: 14 };

/** Groups in place of their nodes, where these are in the mean. */
export function withGroups(layout: Layout, groups: readonly Group[]): Layout {
  const of = membership(groups);
  const boxes = new Map([...layout.boxes].filter(([name]) => !of.has(name)));
  for (const key of new Set(of.values())) {
    const inside = [...layout.boxes.values()].filter(({ name }) => of.get(name) === key);
    if (inside.length > 0) boxes.set(key, boxOfGroup(key, inside, layout.width));
  }
  return { ...layout, boxes };
}

function boxOfGroup(key: string, inside: readonly Box[], room: number): Box {
  const mean = (of: (box: Box) => number) => inside.reduce((sum, box) => sum + of(box), 0) / inside.length;
  const words = `${groupOf(key)} ${inside.length}`;
  const width = Math.min(room / 2, textWidth(words, GROUP_FONT.size, "monospace") + GROUP_FONT.room);
  const x = Math.min(
    room - width / 2,
    Math.max(
      width / 2,
      mean((box) => box.x),
    ),
  );
  return { name: key, x, y: mean((box) => box.y), width, count: inside.length };
}
