// The third tab: what the circuit on the screen does alone, under every ablation, and what circuits of every size do.
import { useMemo } from "preact/hooks";
import { divergingScale, toCss } from "../../lib/color";
import type { Choice } from "../../lib/controls";
import { count, fixed } from "../../lib/format";
import { canAsk, type Failure, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { Absent, ErrorLine, RunState } from "../../lib/status";
import { useStore } from "../../lib/store";
import { usePalette } from "../../lib/theme";
import { CurveChart } from "./chart";
import { CircuitChoice } from "./circuit_choice";
import { isComing, MetricMenu, useSettings, useStatus } from "./controls";
import type { Curves, Faith, Robustness, Setting } from "./runs";
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
          <Table model={model} state={state} robustness={robustness} setting={setting} />
          <CurvesOf setting={setting} curves={curves} asks={asks} coming={isComing(status)} />
        </div>
      ) : (
        failure === null && <Absent>{missing}</Absent>
      )}
    </>
  );
}

type Named = Choice & { name: string };

interface TableProps extends Props {
  robustness: Robustness;
  setting: Setting | null;
}

/** The faithfulness under every combination of ablation, level and positions. */
function Table({ model, state, robustness, setting }: TableProps) {
  const info = useTrait<Record<"ablations" | "levels" | "positions", Named[]>>(model, "info");
  const { json, counts } = robustness;
  const known = (kind: "ablations" | "levels" | "positions") =>
    info[kind].filter(({ name }) => json[kind].includes(name));
  const [ablations, levels, positions] = [known("ablations"), known("levels"), known("positions")];
  const every = ablations.flatMap((a) =>
    levels.flatMap((l) =>
      positions.map((p) => robustness.of({ ablation: a.name, level: l.name, positions: p.name }).f),
    ),
  );
  return (
    <div>
      <p class="hs-detail-words hs-spread" data-hs="spread">
        {spreadWords(every, counts)}
      </p>
      <table class="hs-faith" data-hs="robustness">
        <caption class="hs-sr">How much of the gap the circuit alone keeps</caption>
        <thead>
          <tr>
            <td colSpan={2} />
            <th scope="colgroup" colSpan={positions.length}>
              ablated at
            </th>
          </tr>
          <tr>
            <th scope="col">the rest is from</th>
            <th scope="col">by</th>
            {positions.map(({ name, label, help }) => (
              <th key={name} scope="col" title={help}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {ablations.flatMap((ablation) =>
            levels.map((level, i) => (
              <tr key={`${ablation.name} ${level.name}`} data-first={i === 0}>
                {i === 0 && (
                  <th scope="rowgroup" rowSpan={levels.length} title={ablation.help}>
                    {ablation.label}
                  </th>
                )}
                <th scope="row" title={level.help}>
                  {level.label}
                </th>
                {positions.map((position) => {
                  const at = { ablation: ablation.name, level: level.name, positions: position.name };
                  return (
                    <Cell
                      key={position.name}
                      faith={robustness.of(at)}
                      words={`${ablation.label} ablation of ${level.label}s, positions: ${position.label}`}
                      chosen={same(setting, at)}
                      onChoose={canAsk(model) ? () => state.rpc.request("faithfulness_at", at) : null}
                    />
                  );
                })}
              </tr>
            )),
          )}
        </tbody>
      </table>
      {Object.entries(json.reasons).map(([name, reason]) => (
        <p key={name} class="hs-quiet" data-hs="reason">
          {reason}
        </p>
      ))}
    </div>
  );
}

function spreadWords(every: readonly number[], [edges = 0, nodes = 0]: Int32Array): string {
  const known = every.filter(Number.isFinite);
  const what = `The circuit alone, ${count(edges, "edge")} or the ${count(nodes, "node")} that they leave`;
  if (known.length === 0) return `${what}.`;
  const ends = [Math.min(...known), Math.max(...known)].map(percentOf);
  return `${what}, keeps ${ends.join(" to ")} of what the model does, depending on what stands in for the rest.`;
}

const percentOf = (f: number): string => `${fixed(100 * f, 0)}%`;
const same = (a: Setting | null, b: Setting) =>
  a !== null && a.ablation === b.ablation && a.level === b.level && a.positions === b.positions;

interface CellProps {
  faith: Faith;
  words: string;
  chosen: boolean;
  onChoose: (() => void) | null;
}

function Cell({ faith, words, chosen, onChoose }: CellProps) {
  const palette = usePalette();
  const scale = useMemo(() => divergingScale(palette, 1), [palette]);
  const { f, low, high, rest } = faith;
  if (!Number.isFinite(f)) return <td class="hs-faith-none">{"\u2013"}</td>;
  const interval = Number.isFinite(low) ? `, 95% interval ${percentOf(low)} to ${percentOf(high)}` : "";
  const title = `${words}: the circuit ${percentOf(f)}${interval}; everything but it ${percentOf(rest)}`;
  const style = { background: toCss(scale.fill(f)), color: toCss(scale.ink(f)) };
  return (
    <td>
      {onChoose ? (
        <button
          type="button"
          class="hs-plain hs-focusable"
          title={`${title}. Click for circuits of every size`}
          aria-pressed={chosen}
          style={style}
          onClick={onChoose}
        >
          {percentOf(f)}
        </button>
      ) : (
        <span title={title} data-chosen={chosen} style={style}>
          {percentOf(f)}
        </span>
      )}
    </td>
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
