// Above the picture: the prompt, how much of the graph is shown, and the state of the run.
import { useEffect, useState } from "preact/hooks";
import { Prompt } from "../../lib/field";
import { count } from "../../lib/format";
import { canAsk, useTrait, type ViewModel, write } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { RunState } from "../../lib/status";
import { useStore } from "../../lib/store";
import type { Graph } from "./graph";
import type { Pruned } from "./prune";
import type { FeatureState } from "./state";

export function GraphControls({ model, state }: PanelProps<FeatureState>) {
  const { value: graph } = useStore(state.graph);
  const prompt = useTrait<string | null>(model, "prompt");
  return (
    <>
      {canAsk(model) && prompt !== null && (
        <Prompt text={prompt} onShow={(text) => state.rpc.request("show", { text })} />
      )}
      <div class="hs-controls" data-hs="controls">
        <RunState
          model={model}
          rpc={state.rpc}
          label="Tracing"
          took={graph?.json.provenance.seconds}
          onRun={() => state.rpc.request("run_again", {})}
        />
      </div>
    </>
  );
}

/** A slider's value while it is dragged, and else the trait's. */
export function useDragged(model: ViewModel, name: string): [number, (value: number | null) => void] {
  const known = useTrait<number>(model, name);
  const [dragged, setDragged] = useState<number | null>(null);
  useEffect(() => setDragged(null), [known]);
  return [dragged ?? known, setDragged];
}

interface SlidersProps {
  model: ViewModel;
  graph: Graph;
  shown: Pruned;
  nodes: ReturnType<typeof useDragged>;
  edges: ReturnType<typeof useDragged>;
}

export function Sliders({ model, graph, shown, nodes, edges }: SlidersProps) {
  const { json } = graph;
  const features = shown.nodes.filter(({ kind }) => kind === "feature").length;
  const most = Math.floor(100 * json.share) / 100;
  return (
    <div class="hs-fg-sliders">
      <Share
        model={model}
        name="node_share"
        label="Nodes"
        title="The nodes of most influence that together have this share of it"
        most={most}
        value={nodes}
        words={`${features} of ${count(json.active, "feature")}`}
      />
      <Share
        model={model}
        name="edge_share"
        label="Edges"
        title="The edges of most influence that together have this share of it"
        most={1}
        value={edges}
        words={count(shown.edges.length, "edge")}
      />
      {nodes[0] > most && (
        <span class="hs-small" data-hs="share-limit">
          {`The view has the nodes that have ${Math.round(100 * most)}% of the influence; in Python, ` +
            `view.result.pruned(${nodes[0]}, ${edges[0]}) has more.`}
        </span>
      )}
    </div>
  );
}

interface ShareProps {
  model: ViewModel;
  name: string;
  label: string;
  title: string;
  most: number;
  value: ReturnType<typeof useDragged>;
  words: string;
}

function Share({ model, name, label, title, most, value: [value, drag], words }: ShareProps) {
  const percent = Math.round(100 * Math.min(value, most));
  return (
    <label class="hs-slider hs-small" title={title}>
      <span>{label}</span>
      <input
        type="range"
        data-hs={name}
        min={0}
        max={Math.round(100 * most)}
        value={percent}
        aria-valuetext={`${percent}% of the influence, ${words}`}
        onInput={({ currentTarget }) => drag(Number(currentTarget.value) / 100)}
        onChange={({ currentTarget }) => write(model, name, Number(currentTarget.value) / 100)}
      />
      <span data-hs={`${name}-words`}>{`${percent}%, ${words}`}</span>
    </label>
  );
}
