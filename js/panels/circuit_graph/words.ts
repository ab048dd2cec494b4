// How the view names nodes and edges, and writes their sizes.
import { fixed, metricValue } from "../../lib/format";
import { type Edge, INPUT, LOGITS, parseNode } from "./graph";

const PARTS: Record<string, string> = { q: "query", k: "key", v: "value" };

/** In a node of the picture: "5.1", "mlp 5". */
export function shortName(name: string): string {
  const { layer, head } = parseNode(name);
  if (layer === null) return name === INPUT ? "embed" : name;
  return head === null ? `mlp ${layer}` : `${layer}.${head}`;
}

/** In a sentence: "head 5.1", "MLP 5", "the logits". */
export function longName(name: string): string {
  const { layer, head } = parseNode(name);
  if (layer === null) return name === LOGITS ? "the logits" : "the embedding";
  return head === null ? `MLP ${layer}` : `head ${layer}.${head}`;
}

export const partName = (part: string): string => PARTS[part] ?? "";

/** What a node reads here, after its name: "5.1 q"; heads that share it are named as a range. */
export function inputName({ to, part, readers }: Pick<Edge, "to" | "part" | "readers">): string {
  const first = shortName(to);
  const last = readers.at(-1);
  const range = readers.length > 1 && last ? `${first}\u2013${parseNode(last).head}` : first;
  return part ? `${range} ${part}` : range;
}

export const edgeName = (edge: Edge): string => `${shortName(edge.from)} \u2192 ${inputName(edge)}`;

/** A part of the gap as a percentage. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return "\u2013";
  const text = fixed(100 * share, Math.abs(share) < 0.0995 ? 1 : 0);
  return `${share > 0 && !/^[\u22120.]*$/.test(text) ? "+" : ""}${text}%`;
}

export function sizeWords(
  { score, share }: Pick<Edge, "score" | "share">,
  metric: string | undefined,
): string {
  const raw = metricValue(metric ?? null, score);
  return Number.isFinite(share) ? `${percent(share)} of the gap (${raw})` : raw;
}
