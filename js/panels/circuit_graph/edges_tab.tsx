// The first tab: the largest edges of the graph, and what each node reads and who reads it.
import { useMemo, useState } from "preact/hooks";
import { BarList, type Row } from "../../lib/bar_list";
import { Output, useCurrent } from "../../lib/current";
import { count } from "../../lib/format";
import { canAsk, type Failure, select, useRising, useSelection, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { ErrorLine, Nothing } from "../../lib/status";
import { useStore } from "../../lib/store";
import { type Compared, CompareLine, KeepCircuit, useCompared } from "./compare";
import { EdgeControls } from "./controls";
import { EdgeTable } from "./edge_table";
import { type Edge, type Graph, nodeOfPlace, nodesOf, placeOfNode } from "./graph";
import { grouped, groupOf } from "./groups";
import { largestOf } from "./lines";
import { type Hovered, Picture } from "./picture";
import { AnswerCard, EditsLine, SetBar, useSets } from "./set_bar";
import { Slider, useCircuit } from "./slider";
import type { CircuitState } from "./state";
import { useWays, Ways } from "./ways";
import { edgeName, inputName, longName, shortName, sizeWords } from "./words";

type Props = PanelProps<CircuitState>;
const LISTED = 12;

export function EdgesTab({ model, state }: Props) {
  const { value: graph, problem } = useStore(state.graph);
  const error = useTrait<Failure | null>(model, "error");
  const current = useCurrent(model, state.rpc, graph?.json.id, ["edge_attribution"]);
  const failure = problem === null ? error : { message: problem };
  return (
    <>
      <EdgeControls model={model} state={state} />
      <ErrorLine error={failure} rpc={canAsk(model) ? state.rpc : null} />
      {graph ? (
        <Output name="graph-result" current={current} words="the last graph">
          <Circuit model={model} state={state} graph={graph} />
        </Output>
      ) : (
        failure === null && <Nothing model={model} busy={"Estimating the edges\u2026"} />
      )}
    </>
  );
}

function Circuit({ model, state, graph }: Props & { graph: Graph }) {
  const circuit = useCircuit(model, graph);
  const found = useCompared(model, graph, circuit.edges);
  const edges = found?.edges ?? circuit.edges;
  const nodes = useMemo(() => nodesOf(graph, edges), [graph, edges]);
  const pinned = nodeOfPlace(graph, useSelection(model));
  const [hovered, setHovered] = useState<Hovered>(null);
  const ways = useWays(model);
  const sets = useSets(model, state);
  // As they are drawn, where nodes of a group are one.
  const drawn = useMemo(() => grouped(edges, sets.groups), [edges, sets.groups]);
  const pin = (name: string | null) =>
    select(model, name === null || name === pinned ? null : placeOfNode(name));
  return (
    <>
      <div class="hs-ways">
        <Slider model={model} graph={graph} circuit={circuit} />
        <Ways model={model} ways={ways} nodes={nodes} edges={edges} />
        <KeepCircuit model={model} state={state} />
      </div>
      <EditsLine model={model} state={state} />
      {found && <CompareLine model={model} state={state} found={found} />}
      <SetBar model={model} state={state} graph={graph} />
      <div class="hs-circuit-area">
        <div>
          <Picture
            label={`Circuit of ${count(edges.length, "edge")}`}
            nodes={nodes}
            all={graph.nodes}
            edges={edges}
            rising={useRising(model)}
            arrange={ways.arrange}
            pinned={pinned}
            pinStandsOut
            {...sets}
            hovered={hovered}
            onHover={setHovered}
            action="Click to see what it reads and who reads it"
            onChoose={pin}
          />
          <p class="hs-detail-words hs-said" data-hs="under-pointer">
            {hovered && "edge" in hovered ? (
              <>
                {edgeName(hovered.edge)} <b>{sizeWords(hovered.edge, graph.json.params.metric)}</b>
              </>
            ) : (
              keyWords(found)
            )}
          </p>
        </div>
        <div class="hs-circuit-side">
          <AnswerCard model={model} state={state} />
          <Details
            nothing={nothingWords(found)}
            graph={graph}
            edges={edges}
            drawn={drawn}
            pinned={pinned}
            hovered={hovered}
            onHover={setHovered}
            onPin={pin}
          />
        </div>
      </div>
      {ways.table && (
        <EdgeTable
          edges={drawn}
          metric={{ name: graph.json.params.metric, label: graph.json.metric_label }}
          onHover={setHovered}
        />
      )}
    </>
  );
}

/** How to read the picture. */
const keyWords = (found: Compared | null): string =>
  found?.shows === "difference" ? `${KEY} Dashed edges are in the kept circuit alone.` : KEY;

const KEY =
  "Blue carries what the clean prompt has more of, orange the reverse; width is size. A head reads queries left, keys in the middle, values right.";

interface DetailsProps {
  /** What is said where there are no edges. */
  nothing: string;
  graph: Graph;
  edges: readonly Edge[];
  drawn: readonly Edge[];
  pinned: string | null;
  hovered: Hovered;
  onHover(hovered: Hovered): void;
  onPin(name: string | null): void;
}

/** Of the node under the pointer, or else of the pinned one. */
function Details({ nothing, graph, edges, drawn, pinned, hovered, onHover, onPin }: DetailsProps) {
  const node = hovered && "node" in hovered ? hovered.node : pinned;
  const largest = useMemo(() => largestOf(edges), [edges]);
  const metric = graph.json.params.metric;
  const rowOf = (edge: Edge, text: string, other: string): Row => ({
    key: `${edge.from} ${edge.receiver}`,
    text,
    share: Number.isFinite(edge.share) ? edge.share : edge.score,
    title: `${edgeName(edge)}: ${sizeWords(edge, metric)}${groupOf(other) === null ? `. Click to pin ${longName(other)}` : ""}`,
    onHover: (over) => onHover(over ? { edge } : null),
    onClick: groupOf(other) === null ? () => onPin(other) : undefined,
  });
  if (!node) {
    const rows = edges.slice(0, LISTED).map((edge) => rowOf(edge, edgeName(edge), edge.from));
    return (
      <BarList
        name="largest"
        title="Largest edges"
        rows={rows}
        count={edges.length}
        largest={largest}
        nothing={nothing}
      />
    );
  }
  const all = groupOf(node) === null ? edges : drawn;
  const into = all.filter(({ to, readers }) => to === node || readers.includes(node));
  const from = all.filter((edge) => edge.from === node);
  return (
    <>
      <h3 class="hs-title" data-hs="node">
        {longName(node)} <small>{`reads ${into.length}, read by ${from.length}`}</small>
      </h3>
      <BarList
        name="reads"
        title="Reads"
        rows={into
          .slice(0, LISTED)
          .map((edge) => rowOf(edge, `${edge.part && `${edge.part}: `}${shortName(edge.from)}`, edge.from))}
        count={into.length}
        largest={largest}
        nothing={node === "input" ? "It is where the prompt enters." : "Nothing in this circuit."}
      />
      <BarList
        name="read-by"
        title="Read by"
        rows={from.slice(0, LISTED).map((edge) => rowOf(edge, inputName(edge), edge.to))}
        count={from.length}
        largest={largest}
        nothing={node === "logits" ? "It is what the metric reads." : "Nothing in this circuit."}
      />
    </>
  );
}

const EMPTY = "No edge leads from the embedding to the logits. Move the slider to the right.";
const SAME = "The two circuits have the same edges.";

const nothingWords = (found: Compared | null): string => (found?.shows === "difference" ? SAME : EMPTY);
