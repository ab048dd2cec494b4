// Groups of nodes that are drawn as one: the edges in and out of a group are merged, those inside are left out.
import { drawnTo, type Edge, INPUT, LOGITS } from "./graph";

export interface Group {
  /** As the reader calls it. */
  name: string;
  nodes: readonly string[];
}

const MARK = "group ";
/** The name of a group among those of nodes, none of which has a space. */
export const groupKey = (name: string): string => MARK + name;
/** The reader's name of a group; null for a node. */
export const groupOf = (key: string): string | null => (key.startsWith(MARK) ? key.slice(MARK.length) : null);

/** By node the group that it is in. The two ends of the model are never grouped, and of several groups the first has a
 *  node. */
export function membership(groups: readonly Group[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const { name, nodes } of groups)
    for (const node of nodes)
      if (node !== INPUT && node !== LOGITS && !found.has(node)) found.set(node, groupKey(name));
  return found;
}

/**
 * @param edges the largest first.
 * @returns edges between nodes and groups, the largest first; of several that became one the sum. An edge into heads that
 *   share it leads to each of them, but only once to a group of several.
 */
export function grouped(edges: readonly Edge[], groups: readonly Group[]): readonly Edge[] {
  const group = membership(groups);
  if (group.size === 0) return edges;
  const sends = new Set(edges.map(({ from }) => from));
  const merged = new Map<string, Edge>();
  for (const edge of edges) {
    const from = group.get(edge.from) ?? edge.from;
    const ends = new Set(drawnTo(edge, sends).map((name) => group.get(name) ?? name));
    for (const to of ends) {
      if (to === from) continue;
      const part = groupOf(to) === null ? edge.part : "";
      const receiver = part ? `${to}<${part}>` : to;
      const key = `${from}\n${receiver}`;
      const known = merged.get(key);
      if (known) {
        known.score += edge.score;
        known.share += edge.share;
        known.kept &&= edge.kept ?? false;
      } else
        merged.set(key, {
          from,
          to,
          readers: to === LOGITS ? [] : [to],
          part,
          receiver,
          score: edge.score,
          share: edge.share,
          kept: edge.kept ?? false,
        });
    }
  }
  const size = ({ share, score }: Edge) => Math.abs(Number.isFinite(share) ? share : score);
  return [...merged.values()].sort((a, b) => size(b) - size(a));
}
