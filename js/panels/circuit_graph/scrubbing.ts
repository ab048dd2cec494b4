// What causal scrubbing gave: what the hypothesis recovers, each node's share, and which datum stood in for which.
import { type ArrayJson, decodeFloats, decodeInts } from "../../lib/ndarray";
import type { ResultEnvelope } from "../../lib/schema";
import type { OnScrubRequest } from "../../wire/requests";

export const EXACT = "exact";
export const ANYTHING = "anything";

export interface HypothesisJson {
  edges: string[];
  /** By node the name of a feature; a function of the user's own is an object with its name. */
  agree: Record<string, string | { own: string }>;
}

/** The hypothesis as the view lists it. */
export interface Outline {
  hypothesis: HypothesisJson | null;
  /** In the order of the model. */
  nodes: string[];
  /** How many nodes it has, unfolded. */
  tree: number;
  /** How many data there are; 0 if they are too few. */
  data: number;
  /** Why it can't be run. */
  problem: string | null;
  /** How many of the largest edges could be run. */
  fits: number | null;
  /** Of the first datum. */
  tokens: string[];
  /** What each feature says of the first datum, for those with a position at each. */
  examples: Record<string, string[]>;
}

interface TreeNode {
  path: string;
  node: string;
  reader: number;
  agrees: string;
  whole: boolean;
  named: boolean;
}

export interface Datum {
  text: string;
  tokens: string[];
}

export interface ScrubbingJson extends ResultEnvelope {
  scrubbed: HypothesisJson;
  nodes: string[];
  metric_label: string;
  params: Record<string, unknown>;
  recovered: number | null;
  low: number | null;
  high: number | null;
  constant: number | null;
  baselines: Record<"model" | "scrubbed" | "shuffled" | "constant", number | null>;
  /** How many data have been scrubbed. */
  done: number;
  shares: ArrayJson;
  share_low: ArrayJson;
  share_high: ArrayJson;
  /** What follows is not there as long as the runs are under way. */
  tree?: TreeNode[];
  data?: Datum[];
  /** [sample, node of the tree, datum]: of a large result the first samples, or the first data. */
  sources?: ArrayJson;
  provenance: { seconds?: number | null; complete?: boolean; warnings?: string[] };
}

/** In per cent; NaN where it is not known. */
export interface Share {
  share: number;
  low: number;
  high: number;
}

export interface Row extends TreeNode {
  depth: number;
  datum: number;
}

export interface Scrubbing {
  json: ScrubbingJson;
  shares: ReadonlyMap<string, Share>;
  /** How many samples and data can be inspected. */
  samples: number;
  data: number;
  /** Which datum stood in at each node of the tree, depth first. */
  standIns(sample: number, datum: number): Row[];
}

export function decodeScrubbing(json: ScrubbingJson): Scrubbing {
  const [share, low, high] = [json.shares, json.share_low, json.share_high].map(decodeFloats);
  const at = (array: Float32Array | undefined, i: number) => array?.[i] ?? Number.NaN;
  const [samples = 0, nodes = 0, data = 0] = json.sources?.shape ?? [];
  const sources = json.sources ? decodeInts(json.sources) : new Int32Array();
  const tree = json.tree ?? [];
  const order = depthFirst(tree);
  return {
    json,
    shares: new Map(
      json.nodes.map((name, i) => [name, { share: at(share, i), low: at(low, i), high: at(high, i) }]),
    ),
    samples,
    data,
    standIns: (sample, datum) =>
      order.flatMap(([i, depth]) => {
        const node = tree[i];
        return node ? [{ ...node, depth, datum: sources[(sample * nodes + i) * data + datum] ?? datum }] : [];
      }),
  };
}

/** The nodes of a tree, each before those that it reads, with how deep they are. */
function depthFirst(tree: readonly TreeNode[]): [number, number][] {
  const below = new Map<number, number[]>();
  for (const [i, { reader }] of tree.entries()) below.set(reader, [...(below.get(reader) ?? []), i]);
  const found: [number, number][] = [];
  const waiting: [number, number][] = [[0, 0]];
  while (waiting.length > 0) {
    const [i, depth] = waiting.pop() as [number, number];
    found.push([i, depth]);
    for (const child of (below.get(i) ?? []).reverse()) waiting.push([child, depth + 1]);
  }
  return tree.length > 0 ? found : [];
}

/** The name of a feature, as the traits have it. */
export const featureName = (feature: string | { own: string } | undefined): string =>
  feature === undefined ? EXACT : typeof feature === "string" ? feature : feature.own;

/** "token@3" as its two parts; without a position it is the last one. */
export function featureParts(feature: string): { name: string; at: number | null } {
  const [name = feature, at] = feature.split("@");
  return { name, at: at === undefined ? null : Number(at) };
}

/** How a node is resampled, for its mark. */
export const kindOf = (feature: string): "exact" | "anything" | "feature" =>
  feature === EXACT || feature === ANYTHING ? feature : "feature";

export type ScrubChoice = Required<OnScrubRequest>;
export const SCRUB_ARGUMENTS = ["loss", "sides", "others", "unscrub", "samples", "seed"] as const;

export const sameHypothesis = (a: HypothesisJson | null, b: HypothesisJson | null): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

/** Whether a result was made by these settings. The method calls the loss its metric. */
export const sameSettings = (params: Record<string, unknown>, settings: Record<string, unknown>): boolean =>
  SCRUB_ARGUMENTS.every((name) => {
    const made = params[name === "loss" ? "metric" : name];
    return made === undefined || made === settings[name];
  });
