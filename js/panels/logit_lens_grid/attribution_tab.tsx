// What the components of the model write towards an answer: by layer, by head, one by one, and by source token.
import type { ComponentChildren } from "preact";
import { useTrait, type ViewModel } from "../../lib/model";
import { ErrorLine } from "../../lib/status";
import { useStore } from "../../lib/store";
import type { Attributed, Attribution } from "./attribution";
import { AttributionControls } from "./attribution_controls";
import { stepsOf } from "./attribution_sums";
import { ByHead } from "./by_head";
import { Components } from "./components";
import type { ShownSide } from "./result";
import { Sources } from "./sources";
import type { LensState } from "./state";
import { Waterfall } from "./waterfall";

interface AttributionTabProps {
  model: ViewModel;
  state: LensState;
}

interface TabProps extends AttributionTabProps {
  /** What is shown is not of what was asked for last. */
  stale: boolean;
  /** What went wrong. */
  children: ComponentChildren;
}

export function AttributionTab({ model, state, stale, children }: TabProps) {
  const { attribution, problem } = useStore(state.attribution);
  const { lens } = useStore(state.shown);
  const asked = useTrait<ShownSide>(model, "side");
  const shown = attribution?.at(asked) ?? null;
  const side = shown?.name ?? asked;
  return (
    <>
      <AttributionControls {...{ model, state, attribution, lens, side }} />
      {problem === null ? children : <ErrorLine error={{ field: null, message: problem }} />}
      {attribution && shown ? (
        <div class={stale ? "hs-stale" : ""} data-hs="attribution" data-stale={stale}>
          <Whole model={model} state={state} attribution={attribution} shown={shown} />
        </div>
      ) : (
        problem === null && <Nothing model={model} />
      )}
    </>
  );
}

function Nothing({ model }: { model: ViewModel }) {
  const status = useTrait<string>(model, "status");
  const busy = status === "queued" || status === "running";
  return (
    <p class="hs-nothing" data-hs="nothing">
      {model.readonly
        ? "Nothing was attributed when this was saved."
        : busy
          ? "Attributing\u2026"
          : "Type an answer, such as \u2423Oslo, to see what writes towards it, or two, to see what writes towards the first rather than the second."}
    </p>
  );
}

function Whole({
  model,
  state,
  attribution,
  shown,
}: AttributionTabProps & { attribution: Attribution; shown: Attributed }) {
  const rising = useTrait<string>(model, "layer_zero") !== "top";
  const head = useStore(state.head);
  const steps = stepsOf(attribution, shown.values);
  return (
    <>
      {(attribution.json.warnings ?? []).map((warning) => (
        <p key={warning} class="hs-quiet" data-hs="warning">
          {warning}
        </p>
      ))}
      <Section title="By layer" words="each layer adds its attention, then its MLP">
        <Waterfall steps={steps} total={shown.total} quantity={attribution.json.quantity} />
      </Section>
      {attribution.layers > 0 && (
        <Section title={attribution.heads > 0 ? "By head" : "By part"} words={headHint(attribution)}>
          <ByHead
            {...{ attribution, shown, rising, head }}
            onHead={(layer, index) => state.chooseHead(layer, index)}
          />
        </Section>
      )}
      {head && attribution.heads > 0 && head[0] < attribution.layers && head[1] < attribution.heads && (
        <Sources {...{ attribution, shown, head }} readonly={model.readonly === true} />
      )}
      <Section title="Components" words="the largest, one by one">
        <Components attribution={attribution} values={shown.values} />
      </Section>
    </>
  );
}

function headHint({ heads }: Attribution): string {
  return heads > 0 ? "click a head to see from which tokens" : "attention and MLP";
}

interface SectionProps {
  title: string;
  words: string;
  children: ComponentChildren;
}

export function Section({ title, words, children }: SectionProps) {
  return (
    <section class="hs-part" aria-label={title}>
      <h3 class="hs-title">
        {title} <small>{words}</small>
      </h3>
      {children}
    </section>
  );
}
