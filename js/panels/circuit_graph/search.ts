// A search by ACDC: what it has found for each threshold, what is left while it runs, and what its settings are.
import { metricValue } from "../../lib/format";
import { type ArrayJson, decodeBytes, decodeFloats, decodeInts } from "../../lib/ndarray";
import { range } from "../../lib/range";
import type { SearchRequest } from "../../wire/requests";
import { decodeGraph, type Edge, type Graph, type GraphJson, inputOf } from "./graph";

export interface SearchJson extends GraphJson {
  params: GraphJson["params"] & { metric?: string; start?: unknown };
  /** Ascending. */
  thresholds: number[];
  /** For each threshold the metric in the run of its circuit; null before its search has ended. */
  values: (number | null)[];
  /** How many edges the circuit of each threshold has. */
  sizes: number[];
  /** Which of the strongest edges each circuit has, a bit for each, the lowest first: [threshold, byte]. */
  circuits: ArrayJson;
  provenance: GraphJson["provenance"] & { undecided?: number };
}

export interface Search {
  json: SearchJson;
  /** With all edges that are in any circuit. */
  graph: Graph;
  /** The circuit of a threshold, by its index. */
  circuit(at: number): Edge[];
  /** What became of an edge, in words. */
  fate(edge: Edge): string;
  /** The same as a number: its cost, or the threshold at which it goes. */
  amount(edge: Edge): string;
}

export function decodeSearch(json: SearchJson): Search {
  const { thresholds, circuits } = json;
  const decoded = decodeGraph(json);
  // A cost is no part of the gap between the two prompts.
  const edges = decoded.edges.map((edge) => ({ ...edge, share: Number.NaN }));
  const bits = decodeBytes(circuits);
  const bytes = circuits.shape[1] ?? 0;
  const has = (at: number, i: number) => isSet(bits, 8 * at * bytes + i);
  const index = new Map(edges.map((edge, i) => [edge, i]));
  const several = thresholds.length > 1;
  const most = thresholds.at(-1) ?? 0;
  const goes = (edge: Edge) =>
    several && range(thresholds.length).some((at) => !has(at, index.get(edge) ?? -1));
  const value = (edge: Edge) => plainValue(json.params.metric, edge.score);
  return {
    json,
    graph: { ...decoded, edges },
    circuit: (at) => edges.filter((_, i) => has(at, i)),
    fate(edge) {
      if (goes(edge)) return `goes at a threshold of ${numberText(edge.score)}`;
      if (edge.score < most) return "was not tried";
      return `costs ${value(edge)}${several ? `, more than the threshold of ${numberText(most)}` : ""}`;
    },
    amount(edge) {
      if (goes(edge)) return numberText(edge.score);
      return several ? `> ${numberText(most)}` : value(edge);
    },
  };
}

const isSet = (bits: Uint8Array, at: number): boolean => (((bits[at >> 3] ?? 0) >> (at & 7)) & 1) === 1;

/** The index of the threshold that is shown: the chosen one, or the smallest. */
export const thresholdAt = ({ json }: Search, chosen: number | null | undefined): number =>
  Math.max(0, json.thresholds.indexOf(chosen ?? Number.NaN));

/** A cost has no sign of its own. */
export const plainValue = (metric: string | undefined, value: number | null | undefined): string =>
  metricValue(metric === "logit_diff" ? "logit" : (metric ?? null), value);

/** A threshold as it was typed, without the noise of its float32. */
export const numberText = (n: number): string => String(Number(n.toPrecision(6)));

// While it runs

export interface LeftJson {
  id: string;
  /** The index of the threshold that is searched. */
  at: number;
  size: number;
  tried: number;
  /** Which edges are left, a bit for each sender and receiver, the lowest first. */
  kept: ArrayJson;
  /** Which of them were tried and stay, and what removing them cost. */
  stays: ArrayJson;
  cost: ArrayJson;
}

export interface Left {
  json: LeftJson;
  edges: Edge[];
}

/** As many edges are drawn. */
export const MOST_DRAWN = 5000;

/** What is left: the edges that stay first, then those by attribution, if there are more than can be drawn. */
export function decodeLeft(json: LeftJson, { json: graph }: Search, attribution: Graph | null): Left {
  const { senders, receivers } = graph;
  const bits = decodeBytes(json.kept);
  const [stays, costs] = [decodeInts(json.stays), decodeFloats(json.cost)];
  const cost = new Map(Array.from(stays, (at, i) => [at, costs[i] ?? 0]));
  const inputs = receivers.map((receiver) => inputOf(graph, receiver));
  const width = receivers.length;
  const every: number[] = [...cost.keys()];
  const ranked = json.size > MOST_DRAWN && attribution ? flatOf(attribution, senders, receivers) : null;
  for (const at of ranked ?? range(senders.length * width)) {
    if (every.length >= MOST_DRAWN) break;
    if (isSet(bits, at) && !cost.has(at)) every.push(at);
  }
  const edges = every.map((at): Edge => {
    const input = inputs[at % width] as (typeof inputs)[number];
    const from = senders[Math.floor(at / width)] ?? "";
    return { ...input, from, score: cost.get(at) ?? 0, share: Number.NaN };
  });
  return { json, edges };
}

/** The edges of a graph as numbers of sender and receiver, the largest first. */
function flatOf({ edges }: Graph, senders: readonly string[], receivers: readonly string[]): number[] {
  const [row, column] = [senders, receivers].map((names) => new Map(names.map((name, i) => [name, i])));
  return edges.map(
    ({ from, receiver }) => (row?.get(from) ?? 0) * receivers.length + (column?.get(receiver) ?? 0),
  );
}

// Its settings

/** A metric may be a function of the user's own, by its name. */
export type Settings = Required<Omit<SearchRequest, "metric" | "threshold">> & {
  metric: string;
  threshold: number[];
};

const MOST_THRESHOLDS = 100;
const SWEEP = 8;
const WRONG = "Type a threshold above 0, several (0.01, 0.03, 0.1), or the ends of a sweep (0.01 to 1).";

/** One threshold, several, or a sweep between two; or a sentence that says what is wrong. */
export function parseThresholds(text: string): number[] | string {
  const ends = text.split(/\s*(?:to|\u2013|\.\.)\s*/);
  const typed = ends.length === 2 ? ends : text.split(/[\s,;]+/).filter(Boolean);
  const numbers = typed.map(Number);
  if (numbers.length === 0 || !numbers.every((n) => n > 0 && Number.isFinite(n))) return WRONG;
  const [low = 0, high = 0] = numbers;
  if (ends.length === 2) return low < high ? sweepBetween(low, high) : WRONG;
  const each = [...new Set(numbers)].sort((a, b) => a - b);
  return each.length > MOST_THRESHOLDS ? `At most ${MOST_THRESHOLDS} thresholds.` : each;
}

/** Thresholds at equal ratios, to two digits. */
export function sweepBetween(low: number, high: number): number[] {
  const each = range(SWEEP).map((i) => Number((low * (high / low) ** (i / (SWEEP - 1))).toPrecision(2)));
  return [...new Set([low, ...each.slice(1, -1), high])].sort((a, b) => a - b);
}

export const thresholdText = (thresholds: readonly number[]): string => thresholds.join(", ");

// What it is compared with

/** Another circuit beside that of each threshold. */
export interface Compared {
  /** "other": the search that began elsewhere; "top": the largest edges by attribution. */
  name: "other" | "top";
  sizes: number[];
  values: (number | null)[];
  jaccard: number[];
  /** How many edges are in the search's circuit alone, and in the other alone. */
  alone: [number, number][];
}
