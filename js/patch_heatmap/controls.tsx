// The row above the grid: what to patch, how to score it, which way, and how far the sweep is.
import { Button, type Choice, Menu } from "../lib/controls";
import { seconds } from "../lib/format";
import { type Progress, type Status, useTrait, type ViewModel } from "../lib/model";
import { ProgressBar, WaitingWords } from "../lib/status";
import { useStore } from "../lib/store";
import { unusual } from "./option_words";
import { Options } from "./options";
import { entryOf, type HeatmapInfo, PARAM_TRAITS } from "./params";
import type { Sweep } from "./result";
import type { HeatmapState } from "./state";

interface ControlsProps {
  model: ViewModel;
  state: HeatmapState;
  sweep: Sweep | null;
}

export function Menus({ model, state, sweep }: ControlsProps) {
  const info = useTrait<HeatmapInfo>(model, "info");
  // Watched so that the menus follow both what was asked for here and what Python sets.
  useStore(state.requested);
  for (const name of PARAM_TRAITS) useTrait(model, name);
  const params = state.params();
  const entry = entryOf(info, params);
  if (model.readonly) return <Fixed model={model} state={state} sweep={sweep} />;
  return (
    <>
      <Menu
        name="activation"
        label="Activation"
        choices={info.activations}
        chosen={entry ? info.activations.indexOf(entry) : -1}
        shown={params.activation}
        onChoose={(index) => {
          const chosen = info.activations[index];
          if (chosen) state.run({ activation: chosen.activation, axes: chosen.axes });
        }}
      />
      {(["metric", "direction"] as const).map((name) => {
        const choices: (Choice & { name: string })[] = info[`${name}s`];
        return (
          <Menu
            key={name}
            name={name}
            label={name === "metric" ? "Metric" : "Direction"}
            choices={choices}
            chosen={choices.findIndex((choice) => choice.name === params[name])}
            shown={params[name]}
            onChoose={(index) => state.run({ [name]: choices[index]?.name ?? params[name] })}
          />
        );
      })}
      <Options model={model} state={state} sweep={sweep} />
    </>
  );
}

/** Without a kernel: words, and a menu of the metrics that the sweep measured. */
function Fixed({ model, state, sweep }: ControlsProps) {
  const info = useTrait<HeatmapInfo>(model, "info");
  const params = state.params();
  const measures = Object.entries(sweep?.json.measures ?? {});
  const metric = sweep?.json.params.metric ?? params.metric;
  const before = entryOf(info, params)?.label ?? params.activation;
  const named = info.metrics.find(({ name }) => name === metric)?.label ?? metric;
  const direction = info.directions.find(({ name }) => name === params.direction)?.label ?? params.direction;
  const after = [direction, ...unusual(params, info, sweep)];
  const words = (parts: string[]) => (
    <span class="hs-muted" data-hs="params">
      {parts.join(" · ")}
    </span>
  );
  if (measures.length < 2) return words([before, named, ...after]);
  return (
    <>
      {words([before])}
      <Menu
        name="metric"
        label="Metric"
        choices={measures.map(([, { label }]) => ({ label }))}
        chosen={measures.findIndex(([name]) => name === metric)}
        shown={named}
        onChoose={(index) => state.showMeasure(measures[index]?.[0] ?? metric)}
      />
      {words(after)}
    </>
  );
}

export function Running({ model, state, sweep }: ControlsProps) {
  const status = useTrait<Status>(model, "status");
  const progress = useTrait<Progress>(model, "progress");
  const waiting = useStore(state.rpc.waiting);
  const busy = status === "queued" || status === "running";
  return (
    <div class="hs-progress" data-hs="state" data-status={status}>
      {busy && !model.readonly && <ProgressBar progress={progress} label="Patching" />}
      {!busy && waiting === "no" && <span data-hs="summary">{summary(status, progress, sweep)}</span>}
      <WaitingWords waiting={waiting} />
      {!model.readonly && <RunOrCancel status={status} busy={busy} state={state} />}
    </div>
  );
}

function RunOrCancel({ status, busy, state }: { status: Status; busy: boolean; state: HeatmapState }) {
  if (status === "done") return null;
  if (!busy) {
    return (
      <Button name="run" onClick={() => state.run({})}>
        Run
      </Button>
    );
  }
  return (
    <Button name="cancel" onClick={() => state.cancel()}>
      Cancel
    </Button>
  );
}

function summary(status: Status, { done, total }: Progress, sweep: Sweep | null): string {
  if (status === "cancelled") return `cancelled at ${done} of ${total}`;
  const took = sweep?.json.provenance.seconds;
  return status === "done" && typeof took === "number" ? `took ${seconds(took)}` : "";
}
