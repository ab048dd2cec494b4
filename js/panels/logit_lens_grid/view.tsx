// The LogitLensGrid view: title, tabs, and the tab that is chosen.
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { type Failure, type Status, useTrait, type ViewModel, write } from "../../lib/model";
import { Root } from "../../lib/mount";
import { Prompt, Shorter } from "../../lib/prompt";
import { ErrorLine } from "../../lib/status";
import { useStore } from "../../lib/store";
import { panelId, Tabs, tabId } from "../../lib/tabs";
import { useUniqueId } from "../../lib/unique_id";
import { AttributionTab } from "./attribution_tab";
import { LensControls } from "./controls";
import { LensTab, shownColumns, useScaled } from "./lens_tab";
import type { ShownSide } from "./result";
import { shownSide } from "./sides";
import type { LensState } from "./state";
import { AttributionTools, LensTools } from "./tools";
import { lensWords, sumWords } from "./words";

interface ViewProps {
  model: ViewModel;
  state: LensState;
}

const TABS = [
  { name: "lens", label: "Lens" },
  { name: "attribution", label: "Attribution" },
];

export function LogitLensView({ model, state }: ViewProps) {
  const id = useUniqueId();
  const tab = useTrait<string>(model, "tab") === "attribution" ? "attribution" : "lens";
  return (
    <Root name="logit-lens-grid" label="Logit lens">
      {tab === "lens" ? (
        <LensHead model={model} state={state} />
      ) : (
        <AttributionHead model={model} state={state} />
      )}
      <Tabs id={id} label="Views" tabs={TABS} chosen={tab} onChoose={(name) => write(model, "tab", name)} />
      <div role="tabpanel" id={panelId(id)} aria-labelledby={tabId(id, tab)}>
        {tab === "lens" ? (
          <LensPanel model={model} state={state} />
        ) : (
          <AttributionPanel model={model} state={state} />
        )}
      </div>
    </Root>
  );
}

/** What is shown, for the title and for the panel. */
function useLens({ model, state }: ViewProps) {
  const { lens, problem } = useStore(state.shown);
  const side = useTrait<ShownSide>(model, "side");
  const shown = useMemo(() => lens && shownSide(lens, side), [lens, side]);
  const scaled = useScaled(model, state, lens, shown);
  return { lens, problem, shown, scaled, side };
}

function LensHead({ model, state }: ViewProps) {
  const { lens, shown, scaled } = useLens({ model, state });
  const asked = useTrait<string>(model, "lens");
  const tuned = (lens?.json.params.lens ?? asked) === "tuned";
  const brushed = useTrait<readonly number[] | null>(model, "columns");
  const rising = useTrait<string>(model, "layer_zero") !== "top";
  const title = tuned ? "Tuned lens" : "Logit lens";
  const words = lensWords(lens, shown, scaled);
  return (
    <Head title={title} words={words}>
      {lens && shown && (
        <LensTools
          model={model}
          title={title}
          words={`${lens.json.params.stream} \u00b7 ${shown.name === "prompt" ? "" : `${shown.name} \u00b7 `}${words}`}
          view={{ lens, shown, scaled, rising, columns: shownColumns(brushed, shown.first.positions) }}
        />
      )}
    </Head>
  );
}

function Head({ title, words, children }: { title: string; words: string; children: ComponentChildren }) {
  return (
    <div class="hs-head">
      <h2 class="hs-title">
        {title} <small data-hs="subtitle">{words}</small>
      </h2>
      {children}
    </div>
  );
}

function LensPanel({ model, state }: ViewProps) {
  const { lens, problem, shown, scaled, side } = useLens({ model, state });
  const error = useTrait<Failure | null>(model, "error");
  const status = useTrait<Status>(model, "status");
  const stale = status === "error";
  const failure = problem === null ? error : { field: null, message: problem };
  const prompt = useTrait<string | null | undefined>(model, "prompt");
  const own = lens ? lens.sides.prompt : side === "prompt";
  return (
    <>
      {own && !model.readonly && (
        <Prompt text={prompt ?? lens?.sides.prompt?.text ?? ""} onShow={(text) => state.showPrompt(text)} />
      )}
      <LensControls model={model} state={state} shown={shown} />
      <ErrorLine error={failure} />
      {stale && !model.readonly && (
        <Shorter message={error?.message ?? ""} onRead={(last) => state.run({ last })} />
      )}
      {stale && shown && (
        <p class="hs-quiet" data-hs="faded">
          Faded: the last result, of “{shown.first.text}”.
        </p>
      )}
      {lens && shown ? (
        <div class={stale ? "hs-stale" : ""} data-hs="lens-result" data-stale={stale}>
          <LensTab {...{ model, state, lens, shown, scaled }} />
        </div>
      ) : (
        failure === null && <Nothing status={status} />
      )}
    </>
  );
}

function Nothing({ status }: { status: Status }) {
  const busy = status === "queued" || status === "running";
  return (
    <p class="hs-nothing" data-hs="nothing">
      {busy ? "Reading the layers\u2026" : "Not run yet."}
    </p>
  );
}

function AttributionHead({ model, state }: ViewProps) {
  const { attribution } = useStore(state.attribution);
  const side = useTrait<ShownSide>(model, "side");
  const rising = useTrait<string>(model, "layer_zero") !== "top";
  const shown = attribution?.at(side) ?? null;
  const words =
    attribution && shown ? sumWords(attribution, shown) : "what each component writes towards an answer";
  return (
    <Head title="Direct logit attribution" words={words}>
      {attribution && shown && <AttributionTools {...{ model, attribution, shown, rising, words }} />}
    </Head>
  );
}

function AttributionPanel({ model, state }: ViewProps) {
  const error = useTrait<Failure | null>(model, "error");
  const stale = useTrait<Status>(model, "status") === "error";
  return (
    <AttributionTab model={model} state={state} stale={stale}>
      <ErrorLine error={error} />
    </AttributionTab>
  );
}
