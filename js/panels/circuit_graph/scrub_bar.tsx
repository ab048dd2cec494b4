// One scale from shuffled outputs to the model, and where the hypothesis and the best constant output are on it.
import { count, fixed } from "../../lib/format";
import { useStore } from "../../lib/store";
import type { ScrubState } from "./scrub_state";
import type { Scrubbing } from "./scrubbing";

/** Beyond these per cent a value is drawn at the end of the scale. */
const [LEAST, MOST] = [-100, 200];

export const percentOf = (value: number | null): string => `${fixed(value, 1)}%`;

interface BarProps {
  state: ScrubState;
  found: Scrubbing;
  /** How many data there are. */
  total: number;
  /** False while what is shown belongs to the hypothesis before. */
  current: boolean;
}

export function ScrubBar({ state, found: { json }, total, current }: BarProps) {
  const before = useStore(state.before);
  const { recovered, low, high, constant } = json;
  if (recovered === null) {
    return (
      <p class="hs-quiet" data-hs="scrub-words">
        The model does no better here than with shuffled outputs, so there is nothing to recover.
      </p>
    );
  }
  const known = [recovered, low, high, constant, before].filter((one) => one !== null);
  const [from, to] = [Math.max(LEAST, Math.min(0, ...known)), Math.min(MOST, Math.max(100, ...known))];
  const at = (value: number) => (100 * (Math.min(to, Math.max(from, value)) - from)) / (to - from);
  const between = (a: number, b: number) => ({
    left: `${at(Math.min(a, b))}%`,
    width: `${Math.abs(at(a) - at(b))}%`,
  });
  return (
    <section class={current ? "hs-scrub" : "hs-scrub hs-stale"} data-hs="scrub-bar" data-current={current}>
      <p class="hs-detail-words hs-scrub-words" data-hs="scrub-words">
        {wordsOf(json, before, total)}
      </p>
      <div class="hs-scrub-scale" aria-hidden="true">
        <b class="hs-scrub-value" style={{ left: `${at(recovered)}%` }}>
          <span style={{ transform: `translateX(-${at(recovered)}%)` }}>{percentOf(recovered)}</span>
        </b>
        <div class="hs-scrub-bar">
          <i class="hs-scrub-track" style={between(0, 100)} />
          <i class="hs-scrub-fill" data-hs="scrub-fill" style={between(0, recovered)} />
          {constant !== null && (
            <i
              class="hs-scrub-mark"
              style={{ left: `${at(constant)}%` }}
              title="The best that can be said without reading the datum"
            />
          )}
          {before !== null && (
            <i
              class="hs-scrub-before"
              data-hs="scrub-before"
              style={{ left: `${at(before)}%` }}
              title={`Before: ${percentOf(before)}`}
            />
          )}
          {low !== null && high !== null && <i class="hs-scrub-interval" style={between(low, high)} />}
        </div>
        <Label value="0%" words="shuffled outputs" at={at(0)} title="The model's outputs on other data" />
        <Label value="100%" words="the model" at={at(100)} title="The model itself" />
        {constant !== null && (
          <Label
            value={percentOf(constant)}
            words="best constant output"
            at={at(constant)}
            title="The best that can be said without reading the datum"
            near
          />
        )}
      </div>
      <p class="hs-quiet hs-scrub-count" data-hs="scrub-count">
        {countWords(json)}
      </p>
    </section>
  );
}

interface LabelProps {
  value: string;
  words: string;
  /** In per cent of the width; a label near an end stays inside. */
  at: number;
  title: string;
  /** Right under the bar, since its mark is in the middle of it. */
  near?: boolean;
}

function Label({ value, words, at, title, near = false }: LabelProps) {
  return (
    <span class={near ? "hs-scrub-label hs-scrub-near" : "hs-scrub-label"} style={{ left: `${at}%` }}>
      <span style={{ transform: `translateX(-${at}%)` }} title={title}>
        {words} {value}
      </span>
    </span>
  );
}

function wordsOf(
  { recovered, low, high, constant, done }: Scrubbing["json"],
  before: number | null,
  total: number,
) {
  const interval = low === null || high === null ? "" : ` [${fixed(low, 1)}, ${fixed(high, 1)}]`;
  const least = (recovered ?? 0) < (constant ?? 0) ? " Below that it explains nothing." : "";
  const start =
    done < total ? `So far, from ${done} of ${total} data, the hypothesis keeps ` : "The hypothesis keeps ";
  return (
    <>
      {start}
      <b>{percentOf(recovered)}</b>
      {` of what the model gains over shuffled outputs${interval}; a constant output alone would reach ${percentOf(constant)}.${least}`}
      {before !== null && ` Before the last change it was ${percentOf(before)}.`}
    </>
  );
}

function countWords({ metric_label, baselines, done, params }: Scrubbing["json"]): string {
  const values = (["model", "scrubbed", "constant", "shuffled"] as const)
    .map((name) => `${name} ${fixed(baselines[name])}`)
    .join(", ");
  const samples = Number(params.samples ?? 1);
  return `Mean ${metric_label} of ${done} data, ${count(samples, "sample")} of each: ${values}.`;
}
