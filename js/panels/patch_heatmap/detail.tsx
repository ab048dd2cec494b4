// The details of one cell: its effect, and the likeliest next tokens of the clean, the patched and the corrupt run. For a
// data set of pairs, its effect in each pair.
import type { ComponentChildren } from "preact";
import { choosing } from "../../lib/choose_answer";
import { count, fixed, metricValue } from "../../lib/format";
import { TokenPair } from "../../lib/grid_labels";
import {
  decodeTop,
  type Tone,
  type TopArrays,
  type TopToken,
  TopTokens,
  topTokens,
} from "../../lib/top_tokens";
import { NO_COUNTERPART, NOT_COMPUTED, UNCHANGED } from "../../wire/requests";
import { axisWords, baseRun, isPosition, tokensAt, unravel } from "./places";
import type { Axis, Run, Sweep } from "./result";
import type { Together } from "./state";
import { PairStrip } from "./strip";
import {
  effectWords,
  estimateWords,
  intervalWords,
  pairWords,
  termValuesText,
  unpatchedWords,
  whyNone,
} from "./words";

interface DetailProps extends CellProps {
  /** Whether to show many likely tokens. */
  long: boolean;
  /** The joint effect of the picked cells, whose tokens are shown in place of a cell's. */
  together: Together | null;
  /** Makes a likely token the answer of a side; missing if it can't be changed. */
  onAnswer: ((side: Run, answer: string) => void) | null;
  /** The buttons for the pinned cell. */
  children: ComponentChildren;
}

const FEW = 3;
const MANY = 10;

export function Detail({
  sweep,
  scaled,
  metric,
  cell,
  hint,
  long,
  together,
  onAnswer,
  children,
}: DetailProps) {
  // A method may give no likely tokens: no rows then, as rows without tokens stand for tokens still to come.
  const rows = sweep.topRuns.clean ? (long ? MANY : FEW) : 0;
  const baselines = sweep.json.baselines;
  const top = (name: Run | "patched", value: number | null, tokens: ReturnType<typeof topOfRun>) => (
    <TopTokens
      name={name}
      heading={value === null ? name : heading(name, metricValue(sweep.json.params.metric, value))}
      tokens={tokens}
      rows={rows}
      logits
      around={onAnswer && name !== "patched" ? choosing(name, onAnswer) : undefined}
    />
  );
  return (
    <div class="hs-detail hs-part" data-hs="detail" data-rows={rows}>
      <div class="hs-detail-cell" data-hs="detail-cell">
        {together ? (
          <>
            <h3 class="hs-detail-place">{count(together.cells.length, "cell")} together</h3>
            <p class="hs-detail-words">
              <b>{together.normalized === null ? "" : `effect ${fixed(together.normalized)}`}</b>
              <br />
              sum of single effects {fixed(together.sum)}
            </p>
          </>
        ) : (
          <Cell sweep={sweep} scaled={scaled} metric={metric} cell={cell} hint={hint} />
        )}
        {!together && children}
      </div>
      {sweep.terms ? null : sweep.pairs ? (
        cell !== null && <PairStrip sweep={sweep} cell={cell} />
      ) : (
        <>
          {top("clean", baselines.clean, topOfRun(sweep, "clean"))}
          {together ? (
            <TopTokens
              name="together"
              heading={heading("together", metricValue(together.metric, together.value))}
              tokens={topOfTogether(sweep, together)}
              rows={rows}
              logits
            />
          ) : (
            top(
              "patched",
              cell === null ? null : valueOfCell(sweep, cell),
              cell === null ? null : topOfCell(sweep, cell),
            )
          )}
          {top("corrupt", baselines.corrupt, topOfRun(sweep, "corrupt"))}
        </>
      )}
    </div>
  );
}

function topOfTogether(sweep: Sweep, { top, tokens }: Together): TopToken[] | null {
  const textOf = (id: number) => tokens?.[id] ?? `#${id}`;
  return top ? topTokens(decodeTop(top), textOf, (token) => toneOf(sweep, token)) : null;
}

function heading(name: string, value: string) {
  return (
    <>
      {name} <b>{value}</b>
    </>
  );
}

function topOfRun(sweep: Sweep, run: Run): TopToken[] | null {
  return topOf(sweep, sweep.topRuns[run]);
}

function topOfCell(sweep: Sweep, cell: number): TopToken[] | null {
  if (isUnchanged(sweep, cell)) return topOfRun(sweep, baseRun(sweep));
  const { top } = sweep;
  if (!top || sweep.state[cell] === NOT_COMPUTED || !Number.isFinite(top.probs[cell * top.k])) return null;
  return topOf(sweep, top, cell);
}

/** The metric's value in the patched run. */
function valueOfCell(sweep: Sweep, cell: number): number | null {
  if (sweep.state[cell] === NOT_COMPUTED) return null;
  return isUnchanged(sweep, cell) ? sweep.json.baselines[baseRun(sweep)] : (sweep.values[cell] ?? null);
}

function isUnchanged({ state }: Sweep, cell: number): boolean {
  return state[cell] === UNCHANGED || state[cell] === NO_COUNTERPART;
}

function topOf(sweep: Sweep, top: TopArrays | undefined, index = 0): TopToken[] | null {
  const textOf = (id: number) => sweep.tokens[id] ?? `#${id}`;
  return top ? topTokens(top, textOf, (token) => toneOf(sweep, token), index) : null;
}

function toneOf({ json }: Sweep, token: string): Tone | null {
  const isAnswer = (run: Run) => {
    const { answer, answers } = json.prompts[run];
    return answer === token || answers?.includes(token);
  };
  if (isAnswer("clean")) return "clean";
  return isAnswer("corrupt") ? "corrupt" : null;
}

interface CellProps {
  /** Further hints about cells, shown while no cell is hovered over or pinned. */
  hint?: string;
  sweep: Sweep;
  /** Whether effects have a scale from 0 to 1. */
  scaled: boolean;
  /** The metric's name. */
  metric: string;
  cell: number | null;
}

export function Cell({ cell, hint = "", ...props }: CellProps) {
  if (cell === null)
    return <p class="hs-detail-words">Hover over a cell to read it, click to pin it{hint}.</p>;
  return (
    <>
      <h3 class="hs-detail-place">
        <Place sweep={props.sweep} cell={cell} />
      </h3>
      <p class="hs-detail-words">
        <Words {...props} cell={cell} />
      </p>
    </>
  );
}

function Words({ sweep, scaled, metric, cell }: CellProps & { cell: number }) {
  const none = whyNone(sweep, cell);
  if (none)
    return <>{sweep.state[cell] === UNCHANGED ? `${none} here, so patching changes nothing` : none}</>;
  const value = sweep.terms
    ? termValuesText(sweep, cell)
    : `${metric} ${metricValue(sweep.json.params.metric, sweep.values[cell])}`;
  const hasEffect = sweep.terms ? Number.isFinite(sweep.normalized[cell]) : scaled;
  const lines: ComponentChildren[] = [
    hasEffect && <b>{effectWords(sweep, cell)}</b>,
    estimateWords(sweep, cell),
    intervalWords(sweep, cell),
    ...pairWords(sweep, cell),
    unpatchedWords(sweep, cell),
    value,
  ].filter(Boolean);
  return <>{lines.flatMap((line, i) => (i === 0 ? [line] : [<br key={i} />, line]))}</>;
}

function Place({ sweep, cell }: { sweep: Sweep; cell: number }) {
  const at = unravel(cell, sweep.shape);
  const parts: ComponentChildren[] = sweep.axes.map((axis, i) => (
    <AxisPlace key={axis} sweep={sweep} axis={axis} index={at[i] ?? 0} />
  ));
  return <>{parts.flatMap((part, i) => (i === 0 ? [part] : [", ", part]))}</>;
}

function AxisPlace({ sweep, axis, index }: { sweep: Sweep; axis: Axis; index: number }) {
  if (!isPosition(axis)) return <>{axisWords(sweep, axis, index)}</>;
  return (
    <>
      {axis === "source" && "attending to "}
      <TokenPair lines={tokensAt(sweep, axis, index)} />
    </>
  );
}
