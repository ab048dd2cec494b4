// The LogitLensGrid view: title, tabs, and the chosen tab.
import { useMemo } from "preact/hooks";
import { Output, useCurrent } from "../../lib/current";
import { Prompt } from "../../lib/field";
import { Head } from "../../lib/head";
import { canAsk, type Failure, useRising, useTrait, write } from "../../lib/model";
import { Root } from "../../lib/mount";
import type { PanelProps } from "../../lib/panel";
import type { ShownSide } from "../../lib/side_menu";
import { ErrorLine, Nothing } from "../../lib/status";
import { useStore } from "../../lib/store";
import { Tabs } from "../../lib/tabs";
import { AttributionTab } from "./attribution_tab";
import { LensControls } from "./controls";
import { LensTab, shownColumns, useScaled } from "./lens_tab";
import { shownSide } from "./sides";
import type { LensState } from "./state";
import { AttributionTools, LensTools } from "./tools";
import { lensWords, sumWords } from "./words";

type ViewProps = PanelProps<LensState>;

const TABS = [
  { name: "lens", label: "Lens", title: "What each layer would predict" },
  { name: "attribution", label: "Attribution", title: "Which component wrote the answer" },
];

export function LogitLensView({ model, state }: ViewProps) {
  const tab = useTrait<string>(model, "tab") === "attribution" ? "attribution" : "lens";
  const { value, problem } = useStore(state.attribution);
  // Without a kernel, a tab of what was never run would stay empty.
  const tabs = TABS.filter(
    ({ name }) => canAsk(model) || name === tab || name === "lens" || value || problem,
  );
  return (
    <Root name="logit-lens-grid" label="Logit lens">
      {tab === "lens" ? (
        <LensHead model={model} state={state} />
      ) : (
        <AttributionHead model={model} state={state} />
      )}
      <Tabs label="Views" tabs={tabs} chosen={tab} onChoose={(name) => write(model, "tab", name)}>
        {tab === "lens" ? (
          <LensPanel model={model} state={state} />
        ) : (
          <AttributionTab model={model} state={state} />
        )}
      </Tabs>
    </Root>
  );
}

/** The shown lens, for the title and for the tab. */
function useLens({ model, state }: ViewProps) {
  const { value: lens, problem } = useStore(state.shown);
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
  const rising = useRising(model);
  const title = tuned ? "Tuned lens" : "Logit lens";
  const words = lensWords(lens, shown, scaled);
  return (
    <Head title={title} words={words}>
      {lens && shown && (
        <LensTools
          model={model}
          state={state}
          title={title}
          words={`${lens.json.params.stream} \u00b7 ${shown.name === "prompt" ? "" : `${shown.name} \u00b7 `}${words}`}
          view={{ lens, shown, scaled, rising, columns: shownColumns(brushed, shown.first.positions) }}
        />
      )}
    </Head>
  );
}

function LensPanel({ model, state }: ViewProps) {
  const { lens, problem, shown, scaled, side } = useLens({ model, state });
  const error = useTrait<Failure | null>(model, "error");
  const current = useCurrent(model, state.rpc, lens?.json.id, ["logit_lens", "show"]);
  const failure = problem === null ? error : { message: problem };
  const asks = canAsk(model);
  const prompt = useTrait<string | null | undefined>(model, "prompt");
  const own = lens ? lens.sides.prompt : side === "prompt";
  return (
    <>
      {own && asks && (
        <Prompt text={prompt ?? lens?.sides.prompt?.text ?? ""} onShow={(text) => state.showPrompt(text)} />
      )}
      <LensControls model={model} state={state} shown={shown} />
      <ErrorLine error={failure} rpc={asks ? state.rpc : null} />
      {lens && shown ? (
        <Output
          name="lens-result"
          current={current}
          words={`the last result, ${lens.json.params.stream} of “${shown.first.text}”`}
        >
          <LensTab {...{ model, state, lens, shown, scaled }} />
        </Output>
      ) : (
        failure === null && <Nothing model={model} busy={"Reading the layers\u2026"} />
      )}
    </>
  );
}

function AttributionHead({ model, state }: ViewProps) {
  const { value: attribution } = useStore(state.attribution);
  const side = useTrait<ShownSide>(model, "side");
  const rising = useRising(model);
  const shown = attribution?.at(side) ?? null;
  const words =
    attribution && shown ? sumWords(attribution, shown) : "what each component writes towards an answer";
  return (
    <Head title="Direct logit attribution" words={words}>
      {attribution && shown && <AttributionTools {...{ model, state, attribution, shown, rising, words }} />}
    </Head>
  );
}
