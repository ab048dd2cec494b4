// What the model's components write towards an answer: by layer, by head, one by one, and by source token.
import type { ComponentChildren } from "preact";
import { Output, useCurrent } from "../../lib/current";
import { canAsk, type Failure, select, useRising, useSelection, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import type { ShownSide } from "../../lib/side_menu";
import { ErrorLine, Notes, Nothing } from "../../lib/status";
import { useStore } from "../../lib/store";
import type { Attributed, Attribution } from "./attribution";
import { AttributionControls } from "./attribution_controls";
import { stepsOf } from "./attribution_sums";
import { ByHead } from "./by_head";
import { Components } from "./components";
import { Sources } from "./sources";
import type { LensState } from "./state";
import { Waterfall } from "./waterfall";

type TabProps = PanelProps<LensState>;

export function AttributionTab({ model, state }: TabProps) {
  const { value: attribution, problem } = useStore(state.attribution);
  const { value: lens } = useStore(state.shown);
  const error = useTrait<Failure | null>(model, "error");
  const asked = useTrait<ShownSide>(model, "side");
  const current = useCurrent(model, state.rpc, attribution?.json.id, ["attribute"], "attribution_asked");
  const shown = attribution?.at(asked) ?? null;
  const side = shown?.name ?? asked;
  return (
    <>
      <AttributionControls {...{ model, state, attribution, lens, side }} />
      <ErrorLine
        error={problem === null ? error : { message: problem }}
        rpc={canAsk(model) ? state.rpc : null}
      />
      {attribution && shown ? (
        <Output name="attribution" current={current} words={`the last attribution, of “${shown.text}”`}>
          <Whole model={model} state={state} attribution={attribution} shown={shown} />
        </Output>
      ) : (
        problem === null && (
          <Nothing
            model={model}
            busy={"Attributing\u2026"}
            idle={canAsk(model) ? HOW : "This result has no attribution."}
          />
        )
      )}
    </>
  );
}

const HOW =
  "Type an answer, such as \u2423Oslo, to see which components write towards it. With two answers, you see which write towards the first rather than the second.";

function Whole({
  model,
  state,
  attribution,
  shown,
}: TabProps & { attribution: Attribution; shown: Attributed }) {
  const rising = useRising(model);
  const pinned = attribution.componentOf(useSelection(model));
  const head = pinned === null ? null : attribution.headOf(pinned);
  const onPin = (at: number | null) =>
    select(model, at === null ? null : (attribution.json.places[at] ?? null));
  const steps = stepsOf(attribution, shown.values);
  return (
    <>
      <Notes notes={attribution.json.warnings} />
      <Section title="By layer" words="each layer adds its attention, then its MLP">
        <Waterfall steps={steps} total={shown.total} quantity={attribution.json.quantity} />
      </Section>
      {attribution.layers > 0 && (
        <Section title={attribution.heads > 0 ? "By head" : "By part"} words={headHint(attribution)}>
          <ByHead {...{ attribution, shown, rising, pinned, onPin }} />
        </Section>
      )}
      {head && <Sources {...{ state, attribution, shown, head }} readonly={model.readonly === true} />}
      <Section title="Components" words="the largest, one by one">
        <Components {...{ attribution, pinned, onPin }} values={shown.values} />
      </Section>
    </>
  );
}

function headHint({ heads }: Attribution): string {
  return heads > 0 ? "click a head to see its source tokens" : "attention and MLP";
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
