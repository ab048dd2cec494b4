// Sweeps of a part of the model: only the picked layers and positions, or less of a sweep that takes long.
import { Button } from "../../lib/controls";
import { seconds } from "../../lib/format";
import { canAsk, type Progress, type Status, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { range } from "../../lib/range";
import { COMPUTED, NOT_COMPUTED, type Requests } from "../../wire/requests";
import { useParams } from "./params";
import { labelOf, tokensAt, unravel } from "./places";
import type { Axis, Sweep } from "./result";
import type { HeatmapState } from "./state";

export type Parts = Requests["restrict"];

const NAMES = { layer: "layers", head: "heads", position: "positions", source: "sources" } as const;
type Narrowed = Exclude<Axis, "neuron">;

/** A sweep that takes longer than this offers to do less. */
const LONG_SECONDS = 60;
const EVERY = 4;

/** The parts of the model that the picked cells cover, if they are not all; null if there is nothing to narrow. */
export function narrowerTo(sweep: Sweep, picked: readonly number[]) {
  const { axes, shape } = sweep;
  const parts: Parts = {};
  const [words, titles]: [string[], string[]] = [[], []];
  for (const [i, axis] of axes.entries()) {
    const indices = [...new Set(picked.map((cell) => unravel(cell, shape)[i] ?? 0))].sort((a, b) => a - b);
    const numbers = axis === "neuron" ? null : numbersOf(sweep, axis, indices);
    if (!numbers || axis === "neuron" || indices.length === shape[i]) continue;
    parts[NAMES[axis]] = numbers;
    words.push(NAMES[axis]);
    titles.push(`${NAMES[axis]} ${indices.map((index) => labelOf(sweep, axis, index).trim()).join(", ")}`);
  }
  if (words.length === 0) return null;
  return { parts, words: words.join(" and "), title: `Sweep only ${titles.join(", ")}` };
}

/** The numbers of some indices in the model; null if they are named sets of positions or have no number. */
function numbersOf({ json }: Sweep, axis: Narrowed, indices: readonly number[]): number[] | null {
  const places = json.places?.[axis];
  const numbers = indices.map((index) => places?.[index] ?? index);
  return numbers.every((number) => typeof number === "number") ? (numbers as number[]) : null;
}

/** What a view has narrowed the sweep to, with a button that takes it back. */
export function NarrowedLine({ model, state }: PanelProps<HeatmapState>) {
  const narrowed = useTrait<Parts | undefined>(model, "narrowed") ?? {};
  const parts = Object.entries(narrowed).filter(([, numbers]) => numbers);
  if (parts.length === 0) return null;
  const words = parts.map(([name, numbers]) => `${name} ${spans(numbers as number[])}`).join(", ");
  return (
    <p class="hs-quiet" data-hs="narrowed">
      Only {words}.{" "}
      {canAsk(model) && (
        <Button name="sweep-all" title="Patch all" quiet onClick={() => state.restrict({})}>
          Sweep all
        </Button>
      )}
    </p>
  );
}

/** "0, 4–7, 12" */
export function spans(numbers: readonly number[]): string {
  const found: [first: number, last: number][] = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([a, b]) => (a === b ? String(a) : `${a}\u2013${b}`)).join(", ");
}

/** How long a long sweep will take, measured on its own cells so far, and what would take less. A sweep that stops by
 *  itself, after the cells with the largest estimates, takes no longer than it has to. */
export function TimeLeft({ model, state, sweep }: PanelProps<HeatmapState> & { sweep: Sweep }) {
  const progress = useTrait<Progress | undefined>(model, "progress");
  const status = useTrait<Status>(model, "status");
  const left = progress?.seconds_left ?? 0;
  const { options } = useParams(model);
  const stops = sweep.estimates !== null && options.exact === undefined;
  if (status !== "running" || left < LONG_SECONDS || stops || !canAsk(model)) return null;
  const unit = sweep.estimates ? "runs" : "pairs"; // of a data set
  const basis = sweep.pairs ? `the ${unit} so far` : `the first ${progress?.done} cells`;
  return (
    <p class="hs-quiet" data-hs="time-left">
      About {seconds(left)} left at the speed of {basis}. Less:{" "}
      {lessOf(sweep).map(({ name, label, parts, share }) => (
        <Button key={name} name={name} title="Patch these" onClick={() => state.restrict(parts)}>
          {label}, about {seconds(left * share)}
        </Button>
      ))}
    </p>
  );
}

/** Parts of a sweep, with the share of its cells that they have. */
export function lessOf(sweep: Sweep) {
  const less: { name: string; label: string; parts: Parts; share: number }[] = [];
  const layers = sweep.shape[sweep.axes.indexOf("layer")] ?? 1;
  const every = range(layers).filter((layer) => layer % EVERY === EVERY - 1 || layer === layers - 1);
  const some = layers > EVERY ? numbersOf(sweep, "layer", every) : null;
  if (some) {
    const share = every.length / layers;
    less.push({ name: "every-layer", label: `every ${EVERY}th layer`, parts: { layers: some }, share });
  }
  const differ = differing(sweep);
  const positions = differ && numbersOf(sweep, "position", differ.indices);
  if (differ && positions) {
    const parts = { positions };
    less.push({ name: "differing", label: "the differing tokens and the last", parts, share: differ.share });
  }
  return less;
}

/** The positions whose tokens differ, and the last one, if these are few of those where something can change. */
function differing(sweep: Sweep): { indices: number[]; share: number } | null {
  const at = sweep.axes.indexOf("position");
  const n = sweep.shape[at] ?? 0;
  if (at < 0 || sweep.pairs || sweep.axes.includes("source")) return null;
  const differ = range(n).filter((index) => tokensAt(sweep, "position", index).some(({ tone }) => tone));
  const indices = [...new Set([...differ, n - 1])];
  const open = new Set<number>();
  for (const [cell, state] of sweep.state.entries())
    if (state === COMPUTED || state === NOT_COMPUTED) open.add(unravel(cell, sweep.shape)[at] ?? 0);
  return differ.length > 0 && 2 * indices.length <= open.size
    ? { indices, share: indices.length / open.size }
    : null;
}
