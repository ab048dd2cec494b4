// The nodes that were put into the subgraph: how much they explain, and their supernodes.
import { Button } from "../../lib/controls";
import { SmallField } from "../../lib/fields";
import { count, fixed } from "../../lib/format";
import { canAsk, useTrait, type ViewModel, write } from "../../lib/model";
import type { Graph, GraphNode } from "./graph";
import type { FeatureState } from "./state";
import type { Names } from "./words";

interface Scores {
  of: string[];
  replacement: number;
  completeness: number;
}

interface BarProps {
  model: ViewModel;
  state: FeatureState;
  graph: Graph;
  names: Names;
  pinned: GraphNode | null;
  onHover(id: string | null): void;
}

export function SubgraphBar({ model, state }: BarProps) {
  const kept = useTrait<string[]>(model, "subgraph");
  const groups = useTrait<Record<string, string[]>>(model, "supernodes");
  const scores = useTrait<Scores | null | undefined>(model, "scores");
  const alone = useTrait<string>(model, "shows") === "subgraph";
  if (kept.length === 0) return null;
  const asks = canAsk(model);
  const grouped = new Set(Object.values(groups).flat());
  const loose = kept.filter((id) => !grouped.has(id));
  return (
    <div class="hs-controls hs-fg-subgraph" data-hs="subgraph">
      <span class="hs-small">
        {`Subgraph: ${count(kept.length, "node")}`}
        {scores && `, replacement ${fixed(scores.replacement)}, completeness ${fixed(scores.completeness)}`}
      </span>
      <Button
        name="shows"
        title={alone ? "Show the whole graph" : "Show the subgraph alone, with names"}
        onClick={() => write(model, "shows", alone ? "graph" : "subgraph")}
      >
        {alone ? "Show all" : "Show it alone"}
      </Button>
      {asks && loose.length > 1 && (
        <SmallField
          name="group-name"
          label={`group ${loose.length} as`}
          help="Draw the nodes that are in no supernode as one, under this name"
          value=""
          size={14}
          take={(name) => {
            if (name.trim() === "") return null;
            state.rpc.request("group_features", { nodes: loose, name: name.trim() });
            return null;
          }}
        />
      )}
      {Object.entries(groups).map(([name, ids]) => (
        <span key={name} class="hs-fg-chip" data-hs="supernode">
          {`${name} (${ids.length})`}
          {asks && (
            <Button
              name="ungroup"
              quiet
              label={`Open the supernode ${name}`}
              onClick={() => state.rpc.request("ungroup_features", { name })}
            >
              {"\u00d7"}
            </Button>
          )}
        </span>
      ))}
      {asks && (
        <Button
          name="clear-subgraph"
          title="Take all nodes out of the subgraph"
          quiet
          onClick={() => state.rpc.request("unpin_nodes", { nodes: kept })}
        >
          Clear
        </Button>
      )}
    </div>
  );
}
