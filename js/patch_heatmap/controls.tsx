// The row above the grid: what to patch, how to score it, which way, and how far the sweep is.
import { Button, type Choice, Menu } from "../lib/controls";
import { seconds } from "../lib/format";
import { type Progress, type Status, useTrait, type ViewModel } from "../lib/model";
import { ProgressBar, WaitingWords } from "../lib/status";
import { useStore } from "../lib/store";
import type { Axis, Direction, Sweep } from "./result";
import { type HeatmapState, sameAxes } from "./state";

export interface HeatmapInfo {
  activations: (Choice & { activation: string; axes: Axis[] })[];
  metrics: (Choice & { name: string })[];
  directions: (Choice & { name: Direction })[];
}

interface ControlsProps {
  model: ViewModel;
  state: HeatmapState;
}

export function Menus({ model, state }: ControlsProps) {
  const info = useTrait<HeatmapInfo>(model, "info");
  // Watched so that the menus follow both what was asked for here and what Python sets.
  useStore(state.requested);
  for (const name of ["activation", "axes", "metric", "direction"]) useTrait(model, name);
  const params = state.params();
  const activation = info.activations.findIndex(
    (entry) => entry.activation === params.activation && sameAxes(entry.axes, params.axes),
  );
  const metric = info.metrics.findIndex((entry) => entry.name === params.metric);
  const direction = info.directions.findIndex((entry) => entry.name === params.direction);
  if (model.readonly) {
    const words = [
      info.activations[activation]?.label ?? params.activation,
      info.metrics[metric]?.label ?? params.metric,
      info.directions[direction]?.label ?? params.direction,
    ];
    return (
      <span class="hs-muted" data-hs="params">
        {words.join(" · ")}
      </span>
    );
  }
  return (
    <>
      <Menu
        name="activation"
        label="Activation"
        choices={info.activations}
        chosen={activation}
        shown={params.activation}
        onChoose={(index) => {
          const entry = info.activations[index];
          if (entry) state.run({ activation: entry.activation, axes: entry.axes });
        }}
      />
      <Menu
        name="metric"
        label="Metric"
        choices={info.metrics}
        chosen={metric}
        shown={params.metric}
        onChoose={(index) => state.run({ metric: info.metrics[index]?.name ?? params.metric })}
      />
      <Menu
        name="direction"
        label="Direction"
        choices={info.directions}
        chosen={direction}
        shown={params.direction}
        onChoose={(index) => state.run({ direction: info.directions[index]?.name ?? params.direction })}
      />
    </>
  );
}

export function Running({ model, state, sweep }: ControlsProps & { sweep: Sweep | null }) {
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
