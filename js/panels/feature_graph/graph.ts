// An attribution graph as Python sends it: its most influential nodes, and all edges between them.
import { type ArrayJson, decodeBytes, decodeFloats, decodeInts } from "../../lib/ndarray";
import { indexIn, type Place } from "../../lib/place";
import type { ResultEnvelope } from "../../lib/schema";

export const KINDS = ["feature", "error", "token", "position", "bias", "logit"] as const;
export type Kind = (typeof KINDS)[number];

export interface GraphJson extends ResultEnvelope {
  prompt: { text: string; ids: number[]; tokens: string[] };
  n_layers: number;
  transcoders: Record<string, string | boolean>;
  ids: string[];
  kind: ArrayJson;
  layer: ArrayJson;
  position: ArrayJson;
  feature: ArrayJson;
  values: ArrayJson;
  edges: ArrayJson;
  rest: ArrayJson;
  traced: ArrayJson;
  influence: ArrayJson;
  cumulative: ArrayJson;
  total_influence: number;
  probabilities: ArrayJson;
  logit_tokens: string[];
  /** The largest share of influence by which this part can be pruned. */
  share: number;
  replacement: number;
  completeness: number;
  active: number;
  features_traced: number;
  largest_gap: number;
  provenance: {
    seconds?: number;
    complete?: boolean;
    warnings?: string[];
    model?: { name?: string } | null;
  };
}

export interface GraphNode {
  id: string;
  at: number;
  kind: Kind;
  layer: number | null;
  position: number | null;
  feature: number | null;
  /** A feature's activation, a logit minus the mean logit. */
  value: number | null;
  influence: number;
  /** The share of all influence that it and all nodes of more influence have. */
  cumulative: number;
  /** Which target it is; null for nodes that nothing leads into. */
  row: number | null;
  traced: boolean;
  /** Of a logit. */
  token: string | null;
  probability: number | null;
}

export interface Edge {
  from: GraphNode;
  to: GraphNode;
  /** What is added to the target. */
  weight: number;
  /** The influence that flows through it, as a part of all of it into the logits. */
  flow: number;
}

export interface Graph {
  json: GraphJson;
  nodes: readonly GraphNode[];
  byId: ReadonlyMap<string, GraphNode>;
  /** The nodes that edges lead into, in the order of the rows of `edges`. */
  targets: readonly GraphNode[];
  /** [target, source]. */
  edges: Float32Array;
  /** How many sources there are. */
  width: number;
  /** What is added to each target by what is not here. */
  rest: Float32Array;
}

const given = (value: number | undefined): number | null =>
  value === undefined || value < 0 || Number.isNaN(value) ? null : value;

export function decodeGraph(json: GraphJson): Graph {
  const [kind, layer, position, feature] = [json.kind, json.layer, json.position, json.feature].map(
    decodeInts,
  ) as [Int32Array, Int32Array, Int32Array, Int32Array];
  const [values, influence, cumulative] = [json.values, json.influence, json.cumulative].map(
    decodeFloats,
  ) as [Float32Array, Float32Array, Float32Array];
  const probabilities = decodeFloats(json.probabilities);
  const traced = decodeBytes(json.traced);
  const logits = json.logit_tokens.length;
  const features = kind.reduce((count, one) => count + Number(one === 0), 0);
  const first = kind.length - logits;
  const nodes = json.ids.map((id, at): GraphNode => {
    const row = at < features ? at : at >= first ? features + at - first : null;
    const value = values[at];
    return {
      id,
      at,
      kind: KINDS[kind[at] ?? 0] ?? "feature",
      layer: given(layer[at]),
      position: given(position[at]),
      feature: given(feature[at]),
      value: value === undefined || Number.isNaN(value) ? null : value,
      influence: influence[at] ?? 0,
      cumulative: cumulative[at] ?? 1,
      row,
      traced: row !== null && traced[row] === 1,
      token: at >= first ? (json.logit_tokens[at - first] ?? "") : null,
      probability: at >= first ? (probabilities[at - first] ?? null) : null,
    };
  });
  return {
    json,
    nodes,
    byId: new Map(nodes.map((node) => [node.id, node])),
    targets: nodes.filter(({ row }) => row !== null),
    edges: decodeFloats(json.edges),
    width: kind.length - logits,
    rest: decodeFloats(json.rest),
  };
}

export const weightOf = ({ edges, width }: Graph, from: GraphNode, to: GraphNode): number =>
  to.row === null || from.at >= width ? 0 : (edges[to.row * width + from.at] ?? 0);

/** The name of the feature of a node among the names that readers gave. */
export const featureKey = ({ layer, feature }: GraphNode): string => `${layer}/${feature}`;

// Places

const ACTIVATIONS: Partial<Record<Kind, NonNullable<Place["activation"]>>> = {
  token: "embed",
  position: "pos_embed",
  logit: "logits",
  feature: "mlp_out",
  error: "mlp_out",
};

/** As `GraphNode.place` in Python; null for the biases. */
export function placeOf({ kind, layer, position, feature }: GraphNode): Place | null {
  const activation = ACTIVATIONS[kind];
  if (!activation) return null;
  return {
    activation,
    ...(layer === null || kind === "logit" || kind === "token" || kind === "position" ? {} : { layer }),
    ...(kind === "feature" && feature !== null ? { feature } : {}),
    ...(position === null ? {} : { position }),
  };
}

/** The node of most influence at a place; null if there is none. */
export function nodeAt({ nodes, json }: Graph, place: Place | null): string | null {
  if (!place) return null;
  const { activation, layer, feature } = place;
  const position = place.position === undefined ? undefined : indexIn(json.prompt.ids.length, place.position);
  const own = { embed: "token", pos_embed: "position", logits: "logit" }[activation ?? ""];
  const found = nodes.filter(
    (node) =>
      node.kind !== "bias" &&
      (own === undefined || node.kind === own) &&
      (feature === undefined || (node.kind === "feature" && node.feature === feature)) &&
      (layer === undefined || node.layer === layer) &&
      (position === undefined || node.position === position),
  );
  const best = found.sort((a, b) => b.influence - a.influence)[0];
  return best && (layer !== undefined || position !== undefined || own !== undefined) ? best.id : null;
}
