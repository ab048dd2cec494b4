// The third tab: what the circuit on the screen does alone, under every ablation, and what circuits of every size do.
import { fixed } from "../../lib/format";
import { canAsk, type Failure, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { Absent, ErrorLine, RunState } from "../../lib/status";
import { useStore } from "../../lib/store";
import { CurveChart } from "./chart";
import { CircuitChoice } from "./circuit_choice";
import { isComing, MetricMenu, useSettings, useStatus } from "./controls";
import { RobustnessTable, spreadWords } from "./robustness_table";
import type { Curves, Setting } from "./runs";
import type { CircuitState } from "./state";

type Props = PanelProps<CircuitState>;

export function FaithfulnessTab({ model, state }: Props) {
  const { value: graph } = useStore(state.graph);
  const { value: robustness, problem } = useStore(state.robustness);
  const { value: curves } = useStore(state.curves);
  const error = useTrait<Failure | null>(model, "error");
  const failure = problem === null ? error : { message: problem };
  const setting = useTrait<Setting | null>(model, "setting");
  const settings = useSettings(model, state);
  const asks = canAsk(model);
  const status = useStatus(model, !robustness?.json.provenance.complete || (setting !== null && !curves));
  const missing = !asks
    ? "The circuit was not run here: open the notebook and run its cell."
    : isComing(status)
      ? "Running the circuit\u2026"
      : "Not run yet: press Run.";
  return (
    <>
      <div class="hs-controls" data-hs="controls">
        {asks && <MetricMenu model={model} state={state} settings={settings} />}
        <RunState
          model={model}
          rpc={state.rpc}
          status={status}
          label="Running the circuit"
          took={(curves ?? robustness)?.json.provenance.seconds}
          onRun={() => state.runAgain()}
        />
      </div>
      <ErrorLine error={failure} rpc={asks ? state.rpc : null} />
      {/* Without a kernel, what is on the page is of one circuit. */}
      {graph && asks && <CircuitChoice model={model} state={state} graph={graph} />}
      {robustness ? (
        <div class="hs-circuit-area hs-faith-area">
          <RobustnessTable
            model={model}
            robustness={robustness}
            words={spreadWords(robustness)}
            setting={setting}
            onChoose={asks ? (at) => state.rpc.request("faithfulness_at", at) : null}
          />
          <CurvesOf setting={setting} curves={curves} asks={asks} coming={isComing(status)} />
        </div>
      ) : (
        failure === null && <Absent>{missing}</Absent>
      )}
    </>
  );
}

interface CurvesProps {
  setting: Setting | null;
  curves: Curves | null;
  asks: boolean;
  coming: boolean;
}

function CurvesOf({ setting, curves, asks, coming }: CurvesProps) {
  if (!curves) {
    if (!asks) return null;
    const words =
      setting && coming
        ? "Running circuits of every size\u2026"
        : "Click a number to run circuits of every size.";
    return <Absent name="no-curves">{words}</Absent>;
  }
  const { cpr, cmd, random_cpr, areas, level, total, params } = curves.json;
  const interval = ([low, high]: readonly [number | null, number | null]) =>
    low === null ? "" : ` [${fixed(low)}, ${fixed(high)}]`;
  return (
    <section aria-label="Circuits of every size" data-hs="curves">
      <h3 class="hs-title">
        Circuits of every size{" "}
        <small>{`${params.ablation} ablation of ${level}s, of ${total.toLocaleString("en")} in all`}</small>
      </h3>
      <dl class="hs-areas" data-hs="areas">
        <div title="The area under f of the circuits with the largest signed scores. It can be gamed: read it together with CMD">
          <dt>CPR</dt>
          <dd>{`${fixed(cpr)}${interval(areas.cpr)}`}</dd>
        </div>
        <div title="The area between 1 and f of the circuits with the largest scores of either sign; 0 does what the model does at every size">
          <dt>CMD</dt>
          <dd>{`${fixed(cmd)}${interval(areas.cmd)}`}</dd>
        </div>
        {random_cpr !== null && (
          <div title="The area under f of circuits with random scores">
            <dt>CPR of random circuits</dt>
            <dd>{fixed(random_cpr)}</dd>
          </div>
        )}
      </dl>
      <CurveChart curves={curves} />
    </section>
  );
}
