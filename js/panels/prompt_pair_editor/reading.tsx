// The model's predictions: the likeliest next tokens after both prompts, and the metric before any patching.

import { choosing } from "../../lib/choose_answer";
import { DELAY_MS } from "../../lib/current";
import { metricValue } from "../../lib/format";
import { isBusy, type Status, useTrait, type ViewModel } from "../../lib/model";
import type { Rpc } from "../../lib/rpc";
import { Cancel, ProgressBar, useLasting, WaitingWords } from "../../lib/status";
import { useStore } from "../../lib/store";
import { decodeTop, type Tone, type TopToken, TopTokens, topTokens } from "../../lib/top_tokens";
import { answersIn } from "./answers";
import type { Draft } from "./draft";
import type { Answer, Pair, Reading, Run } from "./types";

interface ReadingProps {
  model: ViewModel;
  draft: Draft;
  rpc: Rpc;
  reading: Reading | null;
  stale: boolean;
}

const ROWS = 5;

export function ReadingPanel({ model, draft, rpc, reading, stale }: ReadingProps) {
  const answers = model.readonly || stale ? null : draft;
  const waiting = useStore(rpc.waiting);
  const late = useLasting(stale, DELAY_MS);
  return (
    <section class="hs-reading" data-hs="reading" data-stale={stale} aria-label="The model's predictions">
      <h3 class="hs-title">
        What the model says now{" "}
        <small>
          {waiting === "no" &&
            (late && reading ? (
              <span data-hs="faded">Faded: the last reading, of “{reading.pair.clean}”</span>
            ) : (
              reading?.label
            ))}
          <WaitingWords rpc={rpc} />
        </small>
      </h3>
      <div class={stale ? "hs-runs hs-stale" : "hs-runs"}>
        <RunTop run="clean" reading={reading} draft={answers} />
        <RunTop run="corrupt" reading={reading} draft={answers} />
      </div>
      <Busy model={model} rpc={rpc} />
    </section>
  );
}

interface RunTopProps {
  run: Run;
  reading: Reading | null;
  /** The draft whose answer a likely token can become; null if it can't be changed now. */
  draft: Draft | null;
}

function RunTop({ run, reading, draft }: RunTopProps) {
  const onAnswer = (side: Run, answer: string) =>
    draft?.replace({ ...draft.pair.get(), [`${side}_answer`]: answer });
  const heading = (
    <>
      {run} {reading && <b>{metricValue(reading.metric, reading.baselines[run])}</b>}
    </>
  );
  return (
    <TopTokens
      name={run}
      heading={heading}
      tokens={reading && topOf(reading, run)}
      rows={ROWS}
      logits={false}
      around={draft ? choosing(run, onAnswer) : undefined}
    />
  );
}

/** Most readings finish before anyone could read a progress bar. */
function Busy({ model, rpc }: { model: ViewModel; rpc: Rpc }) {
  const status = useTrait<Status>(model, "status");
  const lasting = useLasting(isBusy(status) && !model.readonly, 600);
  if (!lasting) return null;
  return (
    <div class="hs-progress hs-small hs-busy">
      <ProgressBar model={model} label="Reading the pair" />
      <Cancel rpc={rpc} />
    </div>
  );
}

function topOf({ top_runs, tokens, pair }: Reading, run: Run): TopToken[] | null {
  const json = top_runs[run];
  if (!json) return null;
  return topTokens(
    decodeTop(json),
    (id) => tokens[id] ?? `#${id}`,
    (token) => toneOf(pair, token),
  );
}

function toneOf(pair: Pair, token: string): Tone | null {
  if (answers(pair, pair.clean_answer, token)) return "clean";
  return answers(pair, pair.corrupt_answer, token) ? "corrupt" : null;
}

function answers({ score_first_token }: Pair, answer: Answer, token: string): boolean {
  return answersIn(answer).some(
    (text) => token === text || (score_first_token && token !== "" && text.startsWith(token)),
  );
}
