// What the model's components write towards an answer: by layer, by head, individually, and by source token.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Output, useCurrent } from "../../lib/current";
import { signed } from "../../lib/format";
import { canAsk, type Failure, select, useRising, useSelection, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { largestOf } from "../../lib/range";
import type { ShownSide } from "../../lib/side_menu";
import { ErrorLine, Notes, Nothing } from "../../lib/status";
import { useStore } from "../../lib/store";
import { TokenStrip } from "../../lib/token_strip";
import { MiniBar } from "../../lib/top_tokens";
import type { Attributed, Attribution } from "./attribution";
import { AttributionControls } from "./attribution_controls";
import { extremes, stepsOf } from "./attribution_sums";
import { ByHead } from "./by_head";
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
          <Nothing model={model} busy={"Attributing\u2026"} idle={canAsk(model) ? HOW : NONE} />
        )
      )}
    </>
  );
}

const NONE = "This result has no attribution. With a model, this tab computes one.";
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
      <Section title="By layer" words="each layer adds its attention, then its MLP, which is lighter">
        <Waterfall steps={steps} total={shown.total} quantity={attribution.json.quantity} />
      </Section>
      <div class="hs-by-head">
        {attribution.layers > 0 && (
          <Section title={attribution.heads > 0 ? "By head" : "By part"} words={headHint(attribution)}>
            <ByHead {...{ attribution, shown, rising, pinned, onPin }} />
          </Section>
        )}
        <div>
          {head && <Sources {...{ state, attribution, shown, head }} readonly={model.readonly === true} />}
          <Section title="Components" words="the largest, one by one">
            <Components {...{ attribution, pinned, onPin }} values={shown.values} />
          </Section>
        </div>
      </div>
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

interface SourcesProps {
  state: LensState;
  attribution: Attribution;
  shown: Attributed;
  head: readonly [number, number];
  readonly: boolean;
}

function Sources({ state, attribution, shown, head, readonly }: SourcesProps) {
  const [layer, index] = head;
  const oneToOne = attribution.json.counterparts === null;
  const possible = shown.name !== "difference" || oneToOne;
  const sources = possible ? attribution.sourcesOf(layer, index, shown.name) : null;
  useEffect(() => {
    if (!readonly) state.needSources(attribution, layer, index);
  }, [attribution, layer, index, readonly]);
  const title = `Head ${layer}.${index}`;
  const label = `${title} by source token`;
  return (
    <section class="hs-part" data-hs="sources" aria-label={label}>
      <h3 class="hs-title">
        {title} <small>by the token that it attends to</small>
      </h3>
      {sources ? (
        <TokenStrip
          name="source-tokens"
          label={label}
          tokens={shown.tokens.slice(0, sources.length)}
          values={sources}
          unit="logits"
        />
      ) : (
        <p class="hs-quiet">{whyNone(possible, readonly)}</p>
      )}
    </section>
  );
}

function whyNone(possible: boolean, readonly: boolean): string {
  if (!possible)
    return "The tokens of the two prompts do not correspond one to one. Choose the clean or the corrupt side.";
  return readonly ? "The head's sources were not saved." : "Loading the head's sources\u2026";
}

interface ComponentsProps {
  attribution: Attribution;
  values: Float32Array;
  pinned: number | null;
  onPin(component: number | null): void;
}

const MOST = 20;

function Components({ attribution, values, pinned, onPin }: ComponentsProps) {
  const { up, down } = extremes(values, MOST);
  const largest = largestOf(values);
  const { answer, wrong_answer } = attribution.json.params;
  const lists = [
    { name: "up", title: `towards ${answer.trim() || "the answer"}`, cells: up, tone: "clean" },
    {
      name: "down",
      title: wrong_answer ? `towards ${wrong_answer.trim()}` : "away from it",
      cells: down,
      tone: "corrupt",
    },
  ] as const;
  return (
    <div
      class="hs-components hs-focusable"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard reads its rows here
      tabIndex={0}
      role="group"
      aria-label="Components"
      data-hs="components"
    >
      {lists.map(({ name, title, cells, tone }) => (
        <table key={name} class="hs-top-table" data-hs={`components-${name}`}>
          <caption class="hs-top-head hs-small">{title}</caption>
          <tbody>
            {cells.map((i) => (
              <tr key={i} data-pinned={i === pinned}>
                <th scope="row" class="hs-component">
                  <button
                    type="button"
                    class="hs-plain"
                    title="Pin this component"
                    aria-pressed={i === pinned}
                    onClick={() => onPin(i === pinned ? null : i)}
                  >
                    {attribution.json.labels[i]}
                  </button>
                </th>
                <MiniBar share={Math.abs(values[i] ?? 0) / largest} tone={tone} />
                <td class="hs-number">{signed(values[i], largest)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ))}
    </div>
  );
}
