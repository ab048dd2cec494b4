// How the view names nodes and edges, and writes their sizes.
import { metricValue, percent } from "../../lib/format";
import { type Edge, INPUT, LOGITS, parseNode } from "./graph";
import { groupOf } from "./groups";

const PARTS: Record<string, string> = { q: "query", k: "key", v: "value" };

/** In a node of the picture: "5.1", "mlp 5". */
export function shortName(name: string): string {
  const { layer, head } = parseNode(name);
  if (layer === null) return name === INPUT ? "embed" : (groupOf(name) ?? name);
  return head === null ? `mlp ${layer}` : `${layer}.${head}`;
}

/** In a sentence: "head 5.1", "MLP 5", "the logits". */
export function longName(name: string): string {
  const { layer, head } = parseNode(name);
  if (groupOf(name) !== null) return `the group ${groupOf(name)}`;
  if (layer === null) return name === LOGITS ? "the logits" : "the embedding";
  return head === null ? `MLP ${layer}` : `head ${layer}.${head}`;
}

export const partName = (part: string): string => PARTS[part] ?? "";

type Input = Pick<Edge, "to" | "part" | "readers">;

/** Who reads here: "5.1"; heads that share an input are named as a range, "5.0\u20132". */
export function readersName({ to, readers }: Input): string {
  const last = readers.at(-1);
  return readers.length > 1 && last ? `${shortName(to)}\u2013${parseNode(last).head}` : shortName(to);
}

/** What a node reads here, after its name: "5.1 q". */
export const inputName = (input: Input): string => `${readersName(input)} ${input.part}`.trim();

/** In a sentence: "the key of heads 5.0\u20132". */
export function longInputName(input: Input): string {
  if (!input.part) return longName(input.to);
  const heads = input.readers.length > 1 ? "heads" : "head";
  return `the ${partName(input.part)} of ${heads} ${readersName(input)}`;
}

export const edgeName = (edge: Edge): string => `${shortName(edge.from)} \u2192 ${inputName(edge)}`;

export function sizeWords(
  { score, share }: Pick<Edge, "score" | "share">,
  metric: string | undefined,
): string {
  const raw = metricValue(metric ?? null, score);
  return Number.isFinite(share) ? `${percent(share)} of the gap (${raw})` : raw;
}
