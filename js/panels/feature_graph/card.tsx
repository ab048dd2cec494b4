// What is said of the pinned node: what it is, what its feature means, what it reads, and who reads it.
import { Button } from "../../lib/controls";
import { canAsk, type ViewModel } from "../../lib/model";
import { FeaturePart } from "./feature";
import type { Graph, GraphNode } from "./graph";
import { Links } from "./links";
import type { FeatureState } from "./state";
import { factsOf, longName, type Names } from "./words";

export interface CardProps {
  model: ViewModel;
  state: FeatureState;
  graph: Graph;
  node: GraphNode;
  names: Names;
  subgraph: ReadonlySet<string>;
  onHover(id: string | null): void;
  onPin(id: string): void;
}

export function Card(props: CardProps) {
  const { model, state, graph, node, names, subgraph } = props;
  const kept = subgraph.has(node.id);
  return (
    <section class="hs-fg-card" data-hs="card" aria-label="The pinned node">
      <h3 class="hs-title" data-hs="card-title">
        {longName(graph, names, node)}
      </h3>
      <p class="hs-detail-words">{factsOf(graph, node)}</p>
      {canAsk(model) && node.kind !== "bias" && (
        <div class="hs-controls">
          <Button
            name="toggle-subgraph"
            title={kept ? "Take it out of the subgraph" : "Put it into the subgraph (Shift and click)"}
            onClick={() => state.rpc.request(kept ? "unpin_nodes" : "pin_nodes", { nodes: [node.id] })}
          >
            {kept ? "Take out of the subgraph" : "Add to the subgraph"}
          </Button>
        </div>
      )}
      {node.kind === "feature" && <FeaturePart key={node.id} {...props} />}
      <Links key={`${node.id} links`} {...props} />
    </section>
  );
}
