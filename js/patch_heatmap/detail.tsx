// What one cell says: its effect, and what the model would say next in the clean, the patched and the corrupt run.
import type { ComponentChildren } from "preact";
import { metricValue } from "../lib/format";
import { Token } from "../lib/tokens";
import { type Tone, type TopToken, TopTokens } from "../lib/top_tokens";
import { effectWords, tokensAt, unravel } from "./cells";
import { EMPTY, EQUAL, type Run, type Sweep } from "./result";

interface DetailProps {
  sweep: Sweep;
  raw: boolean;
  metric: string;
  cell: number | null;
  pinned: boolean;
}

const FEW = 3;
const MANY = 10;

export function Detail({ sweep, raw, metric, cell, pinned }: DetailProps) {
  const rows = pinned ? MANY : FEW;
  const { clean, corrupt } = sweep.json.baselines;
  const run = (name: Run, value: number | null) => (
    <TopTokens
      name={name}
      heading={<Heading sweep={sweep} word={name} value={value} />}
      tokens={topOfRun(sweep, name)}
      rows={rows}
      logits
    />
  );
  return (
    <div class="hs-detail" data-hs="detail" data-rows={rows}>
      <div class="hs-detail-cell" data-hs="detail-cell">
        {cell === null ? <Hint /> : <Cell sweep={sweep} raw={raw} metric={metric} cell={cell} />}
      </div>
      {run("clean", clean)}
      <Patched sweep={sweep} cell={cell} rows={rows} />
      {run("corrupt", corrupt)}
    </div>
  );
}

function Hint() {
  return <p class="hs-detail-hint">Hover over a cell to read it, click to pin it.</p>;
}

function Heading({ sweep, word, value }: { sweep: Sweep; word: string; value: number | null }) {
  return (
    <>
      {word} <b>{metricValue(sweep.json.params.metric, value)}</b>
    </>
  );
}

function Patched({ sweep, cell, rows }: { sweep: Sweep; cell: number | null; rows: number }) {
  const computed = cell !== null && sweep.state[cell] !== EMPTY;
  const value = computed ? patchedValue(sweep, cell) : null;
  const heading = value === null ? "patched" : <Heading sweep={sweep} word="patched" value={value} />;
  return (
    <TopTokens
      name="patched"
      heading={heading}
      tokens={cell === null ? null : topOfCell(sweep, cell)}
      rows={rows}
      logits
    />
  );
}

function Cell({ sweep, raw, metric, cell }: Omit<DetailProps, "pinned" | "cell"> & { cell: number }) {
  return (
    <>
      <h3 class="hs-detail-place">
        <Place sweep={sweep} cell={cell} />
      </h3>
      <p class="hs-detail-words">
        <Words sweep={sweep} raw={raw} metric={metric} cell={cell} />
      </p>
    </>
  );
}

function Words({ sweep, raw, metric, cell }: { sweep: Sweep; raw: boolean; metric: string; cell: number }) {
  const state = sweep.state[cell];
  if (state === EMPTY) return <>not computed yet</>;
  if (state === EQUAL) return <>clean and corrupt are equal here, so patching changes nothing</>;
  const value = `${metric} ${metricValue(sweep.json.params.metric, sweep.values[cell])}`;
  if (raw) return <>{value}</>;
  return (
    <>
      <b>{effectWords(sweep.json.params.direction, sweep.normalized[cell] ?? Number.NaN)}</b>
      <br />
      {value}
    </>
  );
}

function Place({ sweep, cell }: { sweep: Sweep; cell: number }) {
  const at = unravel(cell, sweep.shape);
  const parts: ComponentChildren[] = sweep.axes.map((axis, i) => {
    const n = at[i] ?? 0;
    return axis === "position" ? <PositionTokens key={axis} sweep={sweep} position={n} /> : `${axis} ${n}`;
  });
  return <>{parts.flatMap((part, i) => (i === 0 ? [part] : [", ", part]))}</>;
}

function PositionTokens({ sweep, position }: { sweep: Sweep; position: number }) {
  const [clean, corrupt] = tokensAt(sweep, position);
  if (clean === corrupt) return <Token text={clean} />;
  return (
    <>
      <span class="hs-tone-clean">
        <Token text={clean} />
      </span>{" "}
      /{" "}
      <span class="hs-tone-corrupt">
        <Token text={corrupt} />
      </span>
    </>
  );
}

function patchedValue({ state, values, json }: Sweep, cell: number): number | null {
  if (state[cell] !== EQUAL) return values[cell] ?? null;
  return json.baselines[baseRun(json.params.direction)];
}

/** The run that is patched: its numbers are also those of a cell where nothing changes. */
function baseRun(direction: string): Run {
  return direction === "denoise" ? "corrupt" : "clean";
}

function topOfRun(sweep: Sweep, run: Run): TopToken[] | null {
  const top = sweep.topRuns[run];
  if (!top) return null;
  return Array.from(top.ids, (id, i) => topToken(sweep, id, top.logits[i], top.probs[i]));
}

function topOfCell(sweep: Sweep, cell: number): TopToken[] | null {
  if (sweep.state[cell] === EQUAL) return topOfRun(sweep, baseRun(sweep.json.params.direction));
  const { top } = sweep;
  if (!top || sweep.state[cell] === EMPTY || !Number.isFinite(top.probs[cell * top.k])) return null;
  return Array.from({ length: top.k }, (_, i) => {
    const at = cell * top.k + i;
    return topToken(sweep, top.ids[at] ?? 0, top.logits[at], top.probs[at]);
  });
}

function topToken(sweep: Sweep, id: number, logit = Number.NaN, prob = Number.NaN): TopToken {
  const token = sweep.tokens[id] ?? `#${id}`;
  return { id, token, logit, prob, tone: toneOf(sweep, token) };
}

function toneOf({ json }: Sweep, token: string): Tone | null {
  if (token === json.prompts.clean.answer) return "clean";
  return token === json.prompts.corrupt.answer ? "corrupt" : null;
}
