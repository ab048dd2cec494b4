// How the view names nodes.
import { fixed, signed } from "../../lib/format";
import { visibleText } from "../../lib/tokens";
import { featureKey, type Graph, type GraphNode } from "./graph";
import type { Unit } from "./layout";

export type Names = Readonly<Record<string, string>>;

const tokenAt = ({ json }: Graph, position: number | null): string =>
  position === null ? "" : visibleText(json.prompt.tokens[position] ?? "");

/** In a list: a feature by its name, or its layer and number. */
export function shortName(graph: Graph, names: Names, node: GraphNode): string {
  const at = tokenAt(graph, node.position);
  switch (node.kind) {
    case "feature":
      return `${names[featureKey(node)] ?? featureKey(node)} @ ${at}`;
    case "error":
      return `error ${node.layer} @ ${at}`;
    case "token":
      return `token ${at}`;
    case "position":
      return `position ${node.position}`;
    case "bias":
      return "biases";
    case "logit":
      return `${visibleText(node.token ?? "")} (logit)`;
  }
}

export function longName(graph: Graph, names: Names, node: GraphNode): string {
  const at = `at position ${node.position}, ${tokenAt(graph, node.position)}`;
  switch (node.kind) {
    case "feature": {
      const own = names[featureKey(node)];
      return `${own ? `${own}: ` : ""}feature ${node.feature} of layer ${node.layer}, ${at}`;
    }
    case "error":
      return `what the transcoder of layer ${node.layer} misses ${at}`;
    case "token":
      return `the token ${tokenAt(graph, node.position)}, position ${node.position}`;
    case "position":
      return `the embedding of position ${node.position}`;
    case "bias":
      return "all biases together";
    case "logit":
      return `the logit of ${visibleText(node.token ?? "")}, ${chance(node.probability)}`;
  }
}

/** In a box: a supernode's name, or a node's without its token, below which it stands. */
export function boxName(graph: Graph, names: Names, { group, nodes }: Unit): string {
  const [node] = nodes;
  if (group !== null) return `${group} (${nodes.length})`;
  if (node.kind === "feature") return names[featureKey(node)] ?? featureKey(node);
  if (node.kind === "error") return `error ${node.layer}`;
  return node.kind === "token" ? tokenAt(graph, node.position) : shortName(graph, names, node);
}

/** What is under the pointer. */
export function titleOf(graph: Graph, names: Names, { group, nodes }: Unit): string {
  if (group !== null) return `${group}: ${nodes.map((node) => shortName(graph, names, node)).join(", ")}`;
  return `${longName(graph, names, nodes[0])} \u00b7 ${factsOf(graph, nodes[0])}`;
}

/** A node's numbers. */
export function factsOf({ json }: Graph, { kind, value, influence, probability }: GraphNode): string {
  const parts = [
    kind === "feature" && value !== null && `active at ${fixed(value)}`,
    kind === "logit" && value !== null && `${signed(value)} above the mean logit`,
    kind === "logit" && `probability ${chance(probability)}`,
    kind !== "logit" && `${partOf(influence, json.total_influence)} of all influence`,
  ];
  return parts.filter(Boolean).join(" \u00b7 ");
}

/** A node that may not be here, by its name. */
export function nameOf(graph: Graph, names: Names, id: string): string {
  const known = graph.byId.get(id);
  if (known) return shortName(graph, names, known);
  const [first, second, third] = id.split("_");
  if (first === "error") return `error ${second} @ ${tokenAt(graph, Number(third))}`;
  if (third === undefined || !/^\d+$/.test(first ?? "")) return id;
  const key = `${first}/${second}`;
  return `${names[key] ?? key} @ ${tokenAt(graph, Number(third))}`;
}

/** A probability. */
export function chance(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return "\u2013";
  return value > 0 && value < 0.0005 ? "<0.1%" : `${fixed(100 * value, value < 0.0995 ? 1 : 0)}%`;
}

/** A part of all influence. */
export const partOf = (value: number, total: number): string => chance(total > 0 ? value / total : 0);
