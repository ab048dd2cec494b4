// The second tab: paths backwards from the logits, each step by exact path patching.
import { useMemo, useState } from "preact/hooks";
import { Argument } from "../../lib/arguments";
import { BarList } from "../../lib/bar_list";
import { count, percent } from "../../lib/format";
import {
  canAsk,
  type Failure,
  select,
  useRising,
  useSelection,
  useTrait,
  type ViewModel,
} from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { ErrorLine, Nothing, RunState } from "../../lib/status";
import { useStore } from "../../lib/store";
import { type CircuitInfo, isComing, MetricMenu, useSettings, useStatus } from "./controls";
import { EdgeTable } from "./edge_table";
import { drawnTo, type Graph, LOGITS, nodeOfPlace, nodesOf, placeOfNode } from "./graph";
import { edgesOf, inputOfReceiver, inputsOfNode, type Path, stepOf, unfinished } from "./paths";
import { type Hovered, Picture } from "./picture";
import type { CircuitState } from "./state";
import { useWays, Ways } from "./ways";
import { longInputName, longName, partName, readersName, shortName } from "./words";

type Props = PanelProps<CircuitState>;
const LISTED = 12;

export function PathsTab({ model, state }: Props) {
  const { value: graph, problem } = useStore(state.graph);
  const paths = useStore(state.paths);
  const error = useTrait<Failure | null>(model, "error");
  const failure = problem === null ? error : { message: problem };
  const idle = canAsk(model) ? undefined : "No path was followed here: open the notebook and run its cell.";
  return (
    <>
      <PathControls model={model} state={state} paths={paths} />
      <ErrorLine error={failure} rpc={canAsk(model) ? state.rpc : null} />
      {graph && (paths.some(Boolean) || canAsk(model)) ? (
        <Trail model={model} state={state} graph={graph} paths={paths} />
      ) : (
        failure === null && <Nothing model={model} busy={"Estimating the edges\u2026"} idle={idle} />
      )}
    </>
  );
}

function PathControls({ model, state, paths }: Props & { paths: readonly (Path | null)[] }) {
  const info = useTrait<CircuitInfo>(model, "info");
  const mlps = useTrait<string>(model, "mlps");
  const settings = useSettings(model, state);
  const trail = useTrait<string[][]>(model, "trail");
  const asks = canAsk(model);
  return (
    <div class="hs-controls" data-hs="controls">
      {asks && (
        <>
          <MetricMenu model={model} state={state} settings={settings} />
          <Argument
            name="direction"
            field={info.direction}
            value={settings.direction}
            onChange={(direction) => state.run({ direction: direction as "noise" })}
          />
          <Argument
            name="mlps"
            field={info.mlps}
            value={mlps}
            onChange={(value) => state.rpc.request("path_mlps", { mlps: String(value) })}
          />
        </>
      )}
      <RunState
        model={model}
        rpc={state.rpc}
        status={useStatus(model, unfinished(trail, paths))}
        label="Patching"
        took={paths.at(-1)?.seconds}
        onRun={() => state.runAgain()}
      />
    </div>
  );
}

interface TrailProps extends Props {
  graph: Graph;
  paths: readonly (Path | null)[];
}

function Trail({ model, state, graph, paths }: TrailProps) {
  const trail = useTrait<string[][]>(model, "trail");
  const [hovered, setHovered] = useState<Hovered>(null);
  const edges = useMemo(() => edgesOf(paths, graph.json), [paths, graph]);
  const receivers = useMemo(() => {
    const sends = new Set(edges.map(({ from }) => from));
    return new Set(trail.flat().flatMap((name) => drawnTo(inputOfReceiver(name, graph.json), sends)));
  }, [trail, edges, graph]);
  const nodes = useMemo(
    () => graph.nodes.filter((name) => receivers.has(name) || nodesOf(graph, edges).includes(name)),
    [graph, edges, receivers],
  );
  const last = paths[trail.length - 1] ?? null;
  const reader = useReader(model, graph, trail);
  const ways = useWays(model);
  const asks = canAsk(model);
  const reads = (name: string) => inputsOfNode(name, graph.json).size > 0;
  const choose = (name: string | null) => {
    if (name === null || !asks) return select(model, name === null ? null : placeOfNode(name));
    const at = trail.findIndex((step) => step.some((receiver) => readsAt(receiver, name, graph)));
    select(model, placeOfNode(name));
    if (at >= 0) state.rpc.request("back_to", { step: at });
    else if (reads(name)) state.follow([name], stepOf(name, paths) + 1);
  };
  const follow = (name: string) => {
    select(model, placeOfNode(name));
    state.follow([name], trail.length);
  };
  return (
    <>
      <div class="hs-ways">
        <Crumbs trail={trail} reader={reader} graph={graph} asks={asks} state={state} />
        <Ways model={model} ways={ways} nodes={nodes} edges={edges} />
      </div>
      <div class="hs-circuit-area">
        <div>
          <Picture
            label="Paths to the logits"
            nodes={nodes}
            all={graph.nodes}
            edges={edges}
            rising={useRising(model)}
            arrange={ways.arrange}
            pinned={reader}
            marked={receivers}
            hovered={hovered}
            onHover={setHovered}
            action={asks ? "Click to make it the next receiver" : ""}
            onChoose={choose}
          />
          <p class="hs-detail-words hs-said" data-hs="under-pointer">
            {hovered && "edge" in hovered ? (
              <>
                {`${shortName(hovered.edge.from)} \u2192 ${shortName(hovered.edge.to)} carries `}
                <b>{percent(hovered.edge.share)} of the gap</b>
              </>
            ) : (
              "Each step: one sender's output from the other prompt reaches the receiver and nothing else; its effect on the metric, as a part of the gap."
            )}
          </p>
        </div>
        <div class="hs-circuit-side">
          <Senders
            path={last}
            coming={isComing(useStatus(model, unfinished(trail, paths)))}
            receivers={trail.at(-1) ?? []}
            graph={graph}
            onHover={setHovered}
            onChoose={asks ? follow : null}
          />
        </div>
      </div>
      {ways.table && <EdgeTable edges={edges} onHover={setHovered} />}
    </>
  );
}

/** Whether a node reads at a receiver. */
function readsAt(receiver: string, name: string, { json }: Graph): boolean {
  const { to, readers } = inputOfReceiver(receiver, json);
  return to === name || readers.includes(name);
}

/** The node that reads at the last step: of several that share this input the pinned one, or else the first. */
function useReader(model: ViewModel, graph: Graph, trail: string[][]): string {
  const pinned = nodeOfPlace(graph, useSelection(model));
  const { to, readers } = inputOfReceiver(trail.at(-1)?.[0] ?? LOGITS, graph.json);
  return pinned && readers.includes(pinned) ? pinned : to;
}

interface SendersProps {
  path: Path | null;
  coming: boolean;
  receivers: readonly string[];
  graph: Graph;
  onHover(hovered: Hovered): void;
  onChoose: ((name: string) => void) | null;
}

function Senders({ path, coming, receivers, graph, onHover, onChoose }: SendersProps) {
  const title = `Into ${receivers.map((name) => longInputName(inputOfReceiver(name, graph.json))).join(" and ")}`;
  const senders = path?.senders ?? [];
  const rows = senders.slice(0, LISTED).map(({ name, carried }) => {
    const reads = inputsOfNode(name, graph.json).size > 0;
    const words = `${longName(name)} carries ${percent(carried)} of the gap`;
    return {
      key: name,
      text: shortName(name),
      share: carried,
      title: onChoose && reads ? `${words}. Click to see what it reads` : words,
      onHover: (over: boolean) => onHover(over ? { node: name } : null),
      onClick: onChoose && reads ? () => onChoose(name) : undefined,
    };
  });
  return (
    <>
      <BarList
        name="senders"
        title={title}
        rows={rows}
        count={senders.length}
        largest={Math.abs(senders[0]?.carried ?? 0)}
        nothing={path ? "No sender reaches it." : coming ? "Being patched\u2026" : "Not run yet."}
      />
      {path !== null && path.left > 0 && (
        <p class="hs-quiet">{`${count(path.left, "sender")} not run yet.`}</p>
      )}
    </>
  );
}

interface CrumbsProps {
  trail: string[][];
  /** The node that reads at the last step. */
  reader: string;
  graph: Graph;
  asks: boolean;
  state: CircuitState;
}

/** The steps so far; a click goes back to one. After a head one can choose which of its inputs is patched. */
function Crumbs({ trail, reader, graph, asks, state }: CrumbsProps) {
  const last = trail.at(-1)?.[0] ?? LOGITS;
  const inputs = inputsOfNode(reader, graph.json);
  return (
    <nav class="hs-crumbs" aria-label="Steps" data-hs="trail">
      {trail.map((receivers, step) => {
        const words = receivers.map((name) => crumbWords(name, graph)).join(", ");
        const here = step === trail.length - 1;
        return (
          <span key={`${step} ${words}`}>
            {step > 0 && <span class="hs-muted">{"\u2190 "}</span>}
            {here || !asks ? (
              <b>{words}</b>
            ) : (
              <button
                type="button"
                class="hs-plain hs-focusable"
                data-hs="crumb"
                title="Go back to this step"
                onClick={() => state.rpc.request("back_to", { step })}
              >
                {words}
              </button>
            )}
          </span>
        );
      })}
      {asks && inputs.size > 1 && (
        <span class="hs-inputs" role="group" aria-label="What it reads">
          {[["", reader] as const, ...inputs].map(([part, receiver]) => (
            <button
              key={part}
              type="button"
              class="hs-plain hs-focusable"
              data-hs={`input-${part || "all"}`}
              aria-pressed={receiver === last}
              title={
                part
                  ? `Patch what it reads as ${partName(part)} alone`
                  : "Patch query, key and value together"
              }
              onClick={() => state.follow([receiver], trail.length - 1)}
            >
              {part ? partName(part) : "all"}
            </button>
          ))}
        </span>
      )}
    </nav>
  );
}

function crumbWords(name: string, { json }: Graph): string {
  const input = inputOfReceiver(name, json);
  return `${readersName(input)} ${partName(input.part)}`.trim();
}
