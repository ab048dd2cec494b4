// The steps of the second tab: what each sender carries into a step's receivers.
import { type ArrayJson, decodeBytes, decodeFloats } from "../../lib/ndarray";
import { NOT_COMPUTED, UNCHANGED } from "../../wire/requests";
import { type Edge, type GraphJson, inputOf, parseNode } from "./graph";

export interface PathJson {
  id: string;
  receivers: string[];
  senders: string[];
  /** By sender, as a part of the gap between the two prompts. */
  carried: ArrayJson;
  state: ArrayJson;
  seconds?: number | null;
}

export interface Path {
  id: string;
  receivers: string[];
  /** The largest first; those not run yet are left out, and those that no receiver reads. */
  senders: { name: string; carried: number }[];
  /** How many senders have not been run yet. */
  left: number;
  seconds: number | null;
}

export function decodePath(json: PathJson): Path {
  const [carried, state] = [decodeFloats(json.carried), decodeBytes(json.state)];
  const run = json.senders.flatMap((name, i) =>
    state[i] === NOT_COMPUTED || state[i] === UNCHANGED ? [] : [{ name, carried: carried[i] ?? Number.NaN }],
  );
  const size = ({ carried }: { carried: number }) => (Number.isFinite(carried) ? Math.abs(carried) : -1);
  return {
    id: json.id,
    receivers: json.receivers,
    senders: run.sort((a, b) => size(b) - size(a)),
    left: state.reduce((n, one) => n + Number(one === NOT_COMPUTED), 0),
    seconds: json.seconds ?? null,
  };
}

/** Senders that carry less than this part of what the strongest one carries are not drawn. */
const LEAST_DRAWN = 0.1;
const MOST_DRAWN = 10;

/** The edges of the trail that are drawn: the strongest senders of each step. */
export function edgesOf(paths: readonly (Path | null)[], json: GraphJson): Edge[] {
  return paths.flatMap((path) => {
    if (!path) return [];
    const inputs = path.receivers.map((name) => inputOfReceiver(name, json));
    return strongest(path).flatMap(({ name, carried }) =>
      inputs.map((input): Edge => ({ ...input, from: name, score: Number.NaN, share: carried })),
    );
  });
}

function strongest({ senders }: Path): Path["senders"] {
  const least = LEAST_DRAWN * Math.abs(senders[0]?.carried ?? 0);
  return senders.slice(0, MOST_DRAWN).filter(({ carried }) => Math.abs(carried) >= least);
}

/** The last step in which a sender is drawn: there a click on it in the picture goes on. */
export function stepOf(name: string, paths: readonly (Path | null)[]): number {
  const drawn = paths.map((path) => path !== null && strongest(path).some((sender) => sender.name === name));
  return Math.max(0, drawn.lastIndexOf(true));
}

/** Whether a step was not run to its end. */
export const unfinished = (trail: readonly unknown[], paths: readonly (Path | null)[]): boolean =>
  trail.some((_, step) => (paths[step]?.left ?? 1) > 0);

/** Where a receiver reads: a head without a part is drawn as one input, since its three were patched together. */
export function inputOfReceiver(name: string, json: GraphJson) {
  const { head, part } = parseNode(name);
  if (head !== null && !part) return { receiver: name, part: "", readers: [name], to: name };
  return inputOf(json, name);
}

/** The inputs of one node, by part: "" for a node with a single one. */
export function inputsOfNode(name: string, json: GraphJson): Map<string, string> {
  const sender = json.senders.indexOf(name);
  const own = json.receivers.filter((_, i) => json.readers[i]?.includes(sender));
  return new Map(own.map((receiver) => [parseNode(receiver).part, receiver]));
}
