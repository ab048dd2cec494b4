// The controls above the picture: the rule, the metric, the direction, and the progress of the run.
import { Argument, type Field } from "../../lib/arguments";
import { type Choice, NameMenu } from "../../lib/controls";
import { canAsk, isBusy, type Status, useTrait, type ViewModel } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { RunState, useLasting } from "../../lib/status";
import { useStore } from "../../lib/store";
import type { CircuitState, Choice as Settings } from "./state";

export interface CircuitInfo {
  model: unknown;
  metrics: (Choice & { name: string })[];
  /** Whether the user gave the graph, so that no rule can be chosen. */
  given: boolean;
  rules: Field;
  ig_steps: Field;
  direction: Field;
  mlps: Field;
}

type Props = PanelProps<CircuitState>;
/** Until the runs of a tab that was opened have begun, nothing is said to be stopped. */
const TO_BEGIN_MS = 500;

export function EdgeControls({ model, state }: Props) {
  const info = useTrait<CircuitInfo>(model, "info");
  const { value: graph } = useStore(state.graph);
  const settings = useSettings(model, state);
  const asks = canAsk(model);
  const rule = info.rules.choices.find(({ name }) => name === (graph?.json.params.rules ?? settings.rules));
  const menus = ["rules", "direction", "ig_steps"] as const;
  return (
    <div class="hs-controls" data-hs="controls">
      {asks && !info.given && (
        <>
          <MetricMenu model={model} state={state} settings={settings} />
          {menus.map((name) => (
            <Argument
              key={name}
              name={name}
              field={info[name]}
              value={settings[name]}
              onChange={(value) => state.run({ [name]: value })}
            />
          ))}
        </>
      )}
      {!asks && (
        <span class="hs-muted" data-hs="params">
          {[graph?.json.metric_label, rule?.label].filter(Boolean).join(", ")}
        </span>
      )}
      <RunState
        model={model}
        rpc={state.rpc}
        label="Estimating"
        took={graph?.json.provenance.seconds}
        onRun={() => state.run({})}
      />
    </div>
  );
}

/** Watched so that the menus follow both requests made here and changes from Python. */
export function useSettings(model: ViewModel, state: CircuitState): Settings {
  useStore(state.requested);
  for (const name of ["rules", "ig_steps", "direction", "metric"]) useTrait(model, name);
  return state.choice();
}

/** The status of a tab whose own runs may have been stopped although the graph is there: then they can be run. */
export function useStatus(model: ViewModel, unfinished: boolean): Status {
  const status = useTrait<Status>(model, "status");
  const stopped = useLasting(status === "done" && unfinished, TO_BEGIN_MS);
  return stopped ? "idle" : status;
}

/** Whether what is missing comes by itself: it runs, or the tab was opened a moment ago. */
export const isComing = (status: Status): boolean => isBusy(status) || status === "done";

export function MetricMenu({ model, state, settings }: Props & { settings: Settings }) {
  const info = useTrait<CircuitInfo>(model, "info");
  return (
    <NameMenu
      name="metric"
      label="Metric"
      choices={info.metrics}
      value={settings.metric}
      onChoose={(metric) => state.run({ metric })}
    />
  );
}
