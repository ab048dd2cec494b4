// Below the picture: what is under the pointer, and how to read shapes and colours.
import { count } from "../../lib/format";
import type { Graph } from "./graph";
import type { Unit } from "./layout";
import type { Pruned } from "./prune";
import { type Names, titleOf } from "./words";

interface PointedProps {
  graph: Graph;
  names: Names;
  shown: Pruned;
  /** The unit under the pointer. */
  unit: Unit | null;
  help: string;
}

/** One line, so that nothing moves. */
export function Pointed({ graph, names, shown, unit, help }: PointedProps) {
  const here = new Set(unit?.nodes);
  const into = new Set(shown.edges.flatMap(({ from, to }) => (here.has(to) && !here.has(from) ? from : [])));
  const out = new Set(shown.edges.flatMap(({ from, to }) => (here.has(from) && !here.has(to) ? to : [])));
  const links = [
    into.size > 0 && `reads ${count(into.size, "node")}`,
    out.size > 0 && `read by ${count(out.size, "node")}`,
  ];
  const words = unit && [titleOf(graph, names, unit), ...links].filter(Boolean).join(" \u00b7 ");
  return (
    <p class="hs-fg-pointed hs-small hs-cut" data-hs="pointed" data-idle={unit === null}>
      {words ?? help}
    </p>
  );
}

interface KeyProps {
  shown: Pruned;
  marked: boolean;
  groups: boolean;
  named: boolean;
}

export function Key({ shown, marked, groups, named }: KeyProps) {
  const has = (kind: string) => shown.nodes.some((node) => node.kind === kind);
  const dots = [
    ["feature", "feature"],
    has("error") && ["error", "error: what a transcoder misses"],
    ["token", has("position") ? "token, logit; small: its position" : "token, logit"],
    marked && ["kept", "in the subgraph"],
    groups && ["group", "supernode"],
    shown.nodes.some(({ row, traced }) => row !== null && !traced) && ["untraced", "edges not traced yet"],
  ];
  const boxes = [
    groups && ["groupbox", "supernode"],
    has("error") && ["errorbox", "error: what a transcoder misses"],
  ];
  const lines = [
    ["adds", "adds"],
    ["takes", "subtracts"],
  ];
  const entries = [...(named ? boxes : dots), ...lines].filter((one): one is [string, string] =>
    Boolean(one),
  );
  return (
    <p class="hs-fg-key hs-detail-words" data-hs="key">
      {entries.map(([kind, words]) => (
        <span key={kind}>
          <i data-kind={kind} aria-hidden="true" />
          {words}
        </span>
      ))}
      <span>wider: more influence</span>
    </p>
  );
}
