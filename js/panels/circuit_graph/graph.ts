// A graph as Python sends it: nodes, and the edges with the largest scores, of which the first few make the circuit.
import { type ArrayJson, decodeFloats, decodeInts } from "../../lib/ndarray";
import type { Place } from "../../lib/place";
import type { ResultEnvelope } from "../../lib/schema";

export const INPUT = "input";
export const LOGITS = "logits";

export interface GraphJson extends ResultEnvelope {
  params: {
    rules?: string;
    direction?: string;
    metric?: string;
    pair?: { clean: string; corrupt: string; clean_answer?: string; corrupt_answer?: string } | null;
    pairs?: unknown[];
  };
  senders: string[];
  receivers: string[];
  /** For each receiver, which senders read it, by index: heads may share keys and values. */
  readers: number[][];
  parallel: boolean;
  metric_label: string;
  baselines: { clean?: number | null; corrupt?: number | null };
  /** How many edges the model has. */
  edges: number;
  /** How many edges the circuit has that Python sent; of these the strongest. */
  size: number;
  strongest: { sender: ArrayJson; receiver: ArrayJson; score: ArrayJson };
  provenance: { seconds?: number | null; model?: { name?: string } | null };
}

/** A node, or what a node reads: `part` is then q, k or v. */
export interface Node {
  name: string;
  layer: number | null;
  head: number | null;
  part: string;
}

export interface Edge {
  /** The name of the node that writes. */
  from: string;
  /** The name of the node that reads: of several heads that share this input, the first. */
  to: string;
  /** All nodes that read here. */
  readers: readonly string[];
  part: string;
  /** Which input it is: "a2.h3<q>". */
  receiver: string;
  /** In the metric's own unit. */
  score: number;
  /** As a part of the gap between the two prompts; NaN without a gap. */
  share: number;
  /** Of two circuits that are compared, it is in the kept one alone. */
  kept?: boolean;
}

export interface Graph {
  json: GraphJson;
  /** The largest first. */
  edges: Edge[];
  nodes: string[];
}

const NAME = /^(?:input|logits|m(\d+)|a(\d+)\.h(\d+)(?:<([qkv])>)?)$/;

export function parseNode(name: string): Node {
  const [, mlp, layer, head, part = ""] = NAME.exec(name) ?? [];
  if (mlp !== undefined) return { name, layer: Number(mlp), head: null, part };
  return layer === undefined
    ? { name, layer: null, head: null, part }
    : { name, layer: Number(layer), head: Number(head), part };
}

export function decodeGraph(json: GraphJson): Graph {
  const { senders, receivers, strongest } = json;
  const [from, to] = [decodeInts(strongest.sender), decodeInts(strongest.receiver)];
  const scores = decodeFloats(strongest.score);
  const gap = gapOf(json);
  const edges = Array.from(scores, (score, i): Edge => {
    const [sender, receiver] = [senders[from[i] ?? -1], receivers[to[i] ?? -1]];
    if (sender === undefined || receiver === undefined) throw new Error("an edge of this graph has no ends");
    return { ...inputOf(json, receiver), from: sender, score, share: score / gap };
  });
  return { json, edges, nodes: [...senders, LOGITS] };
}

/** What lies between the two prompts, in the metric's unit; NaN if that is not known or nothing. */
export function gapOf({ baselines: { clean, corrupt } }: Pick<GraphJson, "baselines">): number {
  return (clean ?? Number.NaN) - (corrupt ?? Number.NaN) || Number.NaN;
}

/** Who reads at a receiver. */
export function inputOf(json: Pick<GraphJson, "senders" | "receivers" | "readers">, receiver: string) {
  const indices = json.readers[json.receivers.indexOf(receiver)] ?? [];
  const readers = indices.map((i) => json.senders[i] ?? "");
  const { part } = parseNode(receiver);
  return { receiver, part, readers, to: readers[0] ?? LOGITS };
}

/** What was done to a circuit. */
export type Edit = { keep: string[] } | { remove: string[] };

/** The strongest edges without dangling nodes: those that nothing leads into, and those that lead nowhere. A circuit
 *  that Python chose is shown whole as it is. Then the edits, as Python makes them. */
export function circuitOf({ json, edges }: Graph, most: number, edits: readonly Edit[]): Edge[] {
  const whole = json.size <= most && json.size < json.edges;
  const first = whole ? edges : pruned(edges.slice(0, most));
  return edits.reduce(
    (left, edit) => pruned("keep" in edit ? within(left, edit.keep) : without(left, edit.remove)),
    first,
  );
}

function within(edges: readonly Edge[], nodes: readonly string[]): Edge[] {
  const inside = new Set([INPUT, LOGITS, ...nodes]);
  return edges.filter((edge) => inside.has(edge.from) && endsOf(edge).some((name) => inside.has(name)));
}

function without(edges: readonly Edge[], nodes: readonly string[]): Edge[] {
  const gone = new Set(nodes);
  return edges.filter((edge) => !gone.has(edge.from) && endsOf(edge).some((name) => !gone.has(name)));
}

/** The nodes that read an edge: the logits are no reader with a name of its own. */
const endsOf = ({ to, readers }: Edge): readonly string[] => (readers.length > 0 ? readers : [to]);

export function pruned(edges: readonly Edge[]): Edge[] {
  let kept = [...edges];
  while (true) {
    const fed = new Set([INPUT, ...kept.flatMap(({ readers }) => readers)]);
    const used = new Set([LOGITS, ...kept.map(({ from }) => from)]);
    const left = kept.filter(
      ({ from, to, readers }) =>
        fed.has(from) && (to === LOGITS || readers.some((name) => used.has(name) && fed.has(name))),
    );
    if (left.length === kept.length) return left;
    kept = left;
  }
}

/** The nodes that edges connect, in the order of the model. */
export function nodesOf(graph: Pick<Graph, "nodes">, edges: readonly Edge[]): string[] {
  const sends = new Set(edges.map(({ from }) => from));
  const found = new Set([...sends, ...edges.flatMap((edge) => drawnTo(edge, sends))]);
  return graph.nodes.filter((name) => found.has(name));
}

/** The nodes that an edge is drawn to: of heads that share this input, those that write in this circuit. */
export function drawnTo({ to, readers }: Pick<Edge, "to" | "readers">, sends: ReadonlySet<string>): string[] {
  const writing = readers.filter((name) => sends.has(name));
  return writing.length > 0 ? writing : [to];
}

/** The node as a place; what enters the first block is its resid_pre. */
export function placeOfNode(name: string): Place {
  const { layer, head } = parseNode(name);
  if (layer === null) return name === LOGITS ? { activation: LOGITS } : { activation: "resid_pre", layer: 0 };
  return head === null ? { activation: "mlp_out", layer } : { activation: "z", layer, head };
}

/** The node that shows a place, at whatever position; null if there is none. */
export function nodeOfPlace({ nodes }: Pick<Graph, "nodes">, place: Place | null): string | null {
  if (!place) return null;
  const { activation = "", layer, head, neuron } = place;
  const mlp = neuron !== undefined || activation.startsWith("mlp");
  const enters = ["resid_pre", "embed"].includes(activation) && (layer ?? 0) === 0;
  const name =
    activation === LOGITS
      ? LOGITS
      : head !== undefined
        ? `a${layer}.h${head}`
        : mlp
          ? `m${layer}`
          : enters
            ? INPUT
            : "";
  return nodes.includes(name) ? name : null;
}
