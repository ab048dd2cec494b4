// The controls above the grid: what to patch, the metric, the direction, and the progress of the sweep.
import { Menu, NameMenu } from "../../lib/controls";
import { canAsk, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { RunState } from "../../lib/status";
import { useStore } from "../../lib/store";
import { KeepButton } from "./compare";
import { LimitField, UnitsMenu } from "./look";
import { Options, unusual } from "./options";
import { entryOf, type HeatmapInfo, metricLabel, takes, useParams } from "./params";
import { measuresOf, type Sweep } from "./result";
import type { HeatmapState } from "./state";

type ControlsProps = PanelProps<HeatmapState> & { sweep: Sweep | null };

export function Controls(props: ControlsProps) {
  const { model, state, sweep } = props;
  return (
    <div class="hs-controls" data-hs="controls">
      <Menus {...props} />
      {sweep && <KeepButton model={model} state={state} />}
      <RunState
        model={model}
        rpc={state.rpc}
        label="Patching"
        took={sweep?.json.provenance.seconds}
        onRun={() => state.run({})}
      />
    </div>
  );
}

function Menus({ model, state, sweep }: ControlsProps) {
  const info = useTrait<HeatmapInfo>(model, "info");
  // Watched so that the menus follow both requests made here and changes from Python.
  useStore(state.requested);
  useParams(model);
  const params = state.params();
  const entry = entryOf(info, params);
  const { methods = [] } = info;
  if (!canAsk(model)) return <Fixed model={model} state={state} sweep={sweep} />;
  return (
    <>
      {methods.length > 1 && (
        <NameMenu
          name="method"
          label="Method"
          choices={methods}
          value={params.method}
          onChoose={(method) => state.run({ method, options: {} })}
        />
      )}
      {takes(info, params, "activation") && (
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
      )}
      {takes(info, params, "metric") && (
        <NameMenu
          name="metric"
          label="Metric"
          choices={info.metrics}
          value={params.metric}
          onChoose={(metric) => state.run({ metric })}
        />
      )}
      {takes(info, params, "direction") && (
        <NameMenu
          name="direction"
          label="Direction"
          choices={info.directions}
          value={params.direction}
          onChoose={(direction) => state.run({ direction })}
        />
      )}
      <UnitsMenu model={model} />
      <Options model={model} state={state} sweep={sweep} />
    </>
  );
}

/** Shown if nothing can be requested: the settings as text, and a menu of the metrics that the sweep measured. */
function Fixed({ model, state, sweep }: ControlsProps) {
  const info = useTrait<HeatmapInfo>(model, "info");
  const params = state.params();
  const measures = measuresOf(sweep?.json);
  const metric = sweep?.json.params.metric ?? params.metric;
  const before = entryOf(info, params)?.label ?? params.activation;
  const named = metricLabel(info, sweep?.json ?? { params });
  const direction = info.directions.find(({ name }) => name === params.direction)?.label ?? params.direction;
  const after = [direction, ...unusual(params, info, sweep)];
  const words = (parts: string[]) => (
    <span class="hs-muted" data-hs="params">
      {parts.join(" · ")}
    </span>
  );
  const look = (
    <>
      <UnitsMenu model={model} />
      <LimitField model={model} />
    </>
  );
  if (measures.length < 2)
    return (
      <>
        {words([before, named, ...after])}
        {look}
      </>
    );
  return (
    <>
      {words([before])}
      <Menu
        name="metric"
        label="Metric"
        choices={measures.map(([, label]) => ({ label }))}
        chosen={measures.findIndex(([name]) => name === metric)}
        shown={named}
        onChoose={(index) => state.showMeasure(measures[index]?.[0] ?? metric)}
      />
      {words(after)}
      {look}
    </>
  );
}
