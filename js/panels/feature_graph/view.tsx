// The FeatureGraph view: title, controls, picture, and the card of the pinned node.
import { useMemo, useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { Output, useCurrent } from "../../lib/current";
import { count, fixed } from "../../lib/format";
import { Head } from "../../lib/head";
import {
  canAsk,
  type Failure,
  useRising,
  useSelection,
  useTrait,
  type ViewModel,
  write,
} from "../../lib/model";
import { Root } from "../../lib/mount";
import type { PanelProps } from "../../lib/panel";
import { samePlace } from "../../lib/place";
import { ErrorLine, Notes, Nothing } from "../../lib/status";
import { useStore } from "../../lib/store";
import { Token } from "../../lib/tokens";
import { Card } from "./card";
import { Changes } from "./changes";
import { GraphControls, Sliders, useDragged } from "./controls";
import { type Graph, nodeAt, placeOf } from "./graph";
import { Key, Pointed } from "./key";
import { unitsOf } from "./layout";
import { Picture } from "./picture";
import { prune, subgraphOf } from "./prune";
import type { FeatureState } from "./state";
import { SubgraphBar, scoresHelp, useChosen } from "./subgraph";
import { GraphTools } from "./tools";
import { chance, type Names } from "./words";

type Props = PanelProps<FeatureState>;

export function FeatureView({ model, state }: Props) {
  const { value: graph, problem } = useStore(state.graph);
  const error = useTrait<Failure | null>(model, "error");
  const current = useCurrent(model, state.rpc, graph?.json.id, ["show"]);
  const failure = problem === null ? error : { message: problem };
  const words = graph ? wordsOf(graph) : "which features made the model expect its next token";
  return (
    <Root name="feature-graph" label="Attribution graph">
      <Head title="Attribution graph" words={words} help={scoresHelp("Of the graph")}>
        {graph && <GraphTools model={model} state={state} graph={graph} subtitle={words} />}
      </Head>
      <GraphControls model={model} state={state} />
      <ErrorLine error={failure} rpc={canAsk(model) ? state.rpc : null} />
      {graph ? (
        <Output name="feature-result" current={current} words="the last graph">
          <Drawn model={model} state={state} graph={graph} />
        </Output>
      ) : (
        failure === null && <Nothing model={model} busy={"Tracing the graph\u2026"} />
      )}
    </Root>
  );
}

function wordsOf({ json }: Graph): string {
  const traced =
    json.features_traced < json.active
      ? `edges of ${json.features_traced} of ${json.active} active features so far`
      : count(json.active, "active feature");
  return `${traced}; replacement ${fixed(json.replacement)}, completeness ${fixed(json.completeness)}`;
}

/** The node in the card: the one that was pinned here, or the one of most influence at a place that another view has
 *  pinned. */
function usePinned(model: ViewModel, graph: Graph) {
  const own = graph.byId.get(useTrait<string | null>(model, "pinned") ?? "");
  const selection = useSelection(model);
  const pinned = own && samePlace(placeOf(own), selection) ? own.id : nodeAt(graph, selection);
  const pin = (id: string | null) => {
    const node = graph.byId.get(id ?? "");
    write(model, "pinned", node?.id ?? null);
    write(model, "selection", node ? placeOf(node) : null);
  };
  return { pinned: graph.byId.get(pinned ?? "") ?? null, pin };
}

function Drawn({ model, state, graph }: Props & { graph: Graph }) {
  const nodes = useDragged(model, "node_share");
  const edges = useDragged(model, "edge_share");
  const names = useTrait<Names>(model, "names");
  const kept = useTrait<string[]>(model, "subgraph");
  const groups = useTrait<Record<string, string[]>>(model, "supernodes");
  const alone = useTrait<string>(model, "shows") === "subgraph" && kept.length > 0;
  const subgraph = useMemo(() => new Set(kept), [kept]);
  const shown = useMemo(
    () => (alone ? subgraphOf(graph, subgraph) : prune(graph, nodes[0], edges[0])),
    [graph, alone, subgraph, nodes[0], edges[0]],
  );
  const { pinned, pin } = usePinned(model, graph);
  const [hovered, setHovered] = useState<string | null>(null);
  const chosen = useChosen(subgraph);
  const toggle = (ids: string[]) =>
    alone
      ? chosen.toggle(ids.filter((id) => subgraph.has(id)))
      : state.rpc.request(ids.every((id) => subgraph.has(id)) ? "unpin_nodes" : "pin_nodes", { nodes: ids });
  const units = useMemo(() => unitsOf(shown.nodes, groups, alone), [shown, groups, alone]);
  const pointed = units.find(({ nodes }) => nodes.some(({ id }) => id === hovered)) ?? null;
  return (
    <>
      <Outputs graph={graph} pinned={pinned?.id ?? null} onPin={pin} onHover={setHovered} />
      {!alone && <Sliders model={model} graph={graph} shown={shown} nodes={nodes} edges={edges} />}
      <SubgraphBar
        model={model}
        state={state}
        graph={graph}
        names={names}
        shown={shown}
        subgraph={subgraph}
        chosen={chosen}
        onHover={setHovered}
      />
      <div class="hs-fg-area">
        <div class="hs-fg-main">
          <Picture
            graph={graph}
            shown={shown}
            groups={groups}
            names={names}
            rising={useRising(model)}
            pinned={pinned?.id ?? null}
            hovered={hovered}
            marked={alone ? chosen.chosen : subgraph}
            named={alone}
            onHover={setHovered}
            onPin={pin}
            onToggle={canAsk(model) ? toggle : undefined}
          />
          <Pointed
            graph={graph}
            names={names}
            shown={shown}
            unit={pointed}
            help={canAsk(model) ? helpOf(alone) : "Point at a node to see its edges; a click pins it."}
          />
          <Key
            shown={shown}
            marked={subgraph.size > 0}
            groups={units.some(({ group }) => group !== null)}
            named={alone}
          />
          <Notes notes={graph.json.provenance.warnings} />
        </div>
        <div class="hs-fg-side">
          {pinned ? (
            <Card
              model={model}
              state={state}
              graph={graph}
              node={pinned}
              names={names}
              subgraph={subgraph}
              onHover={setHovered}
              onPin={pin}
            />
          ) : (
            <p class="hs-muted" data-hs="no-card">
              Click a node to see what it reads, who reads it, and what its feature means.
            </p>
          )}
        </div>
      </div>
      <Changes {...{ model, state, graph, names, pinned }} chosen={chosen.chosen} />
    </>
  );
}

const helpOf = (alone: boolean): string =>
  `Point at a node to see its edges; a click pins it, with Shift it ${
    alone ? "is chosen, to be grouped" : "goes into the subgraph"
  }.`;

/** How many tokens are named above the picture; the others are in it. */
const OUTPUTS = 5;

interface OutputsProps {
  graph: Graph;
  pinned: string | null;
  onPin(id: string | null): void;
  onHover(id: string | null): void;
}

/** The tokens that the model predicts, whose logits the graph explains. */
function Outputs({ graph, pinned, onPin, onHover }: OutputsProps) {
  const logits = graph.nodes.filter(({ kind }) => kind === "logit").slice(0, OUTPUTS);
  return (
    <p class="hs-fg-outputs hs-small" data-hs="outputs">
      <span>predicts</span>
      {logits.map((node) => (
        <Button
          key={node.id}
          name="output"
          quiet
          title={`The logit of this token, probability ${chance(node.probability)}. Click to see what made it`}
          onClick={() => onPin(node.id === pinned ? null : node.id)}
        >
          <span onPointerEnter={() => onHover(node.id)} onPointerLeave={() => onHover(null)}>
            <Token text={node.token ?? ""} /> {chance(node.probability)}
          </span>
        </Button>
      ))}
    </p>
  );
}
