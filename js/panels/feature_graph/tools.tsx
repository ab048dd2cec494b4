// The export buttons: Python code, a table, files.
import { saveCsv } from "../../lib/clipboard";
import { Tools } from "../../lib/head";
import { useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { numberCell, toCsv, toTsv } from "../../lib/table";
import type { Graph } from "./graph";
import { prune, subgraphOf } from "./prune";
import type { FeatureState } from "./state";

export function GraphTools({ model, state, graph }: PanelProps<FeatureState> & { graph: Graph }) {
  const nodes = useTrait<number>(model, "node_share");
  const edges = useTrait<number>(model, "edge_share");
  const kept = useTrait<string[]>(model, "subgraph");
  const alone = useTrait<string>(model, "shows") === "subgraph" && kept.length > 0;
  const rows = () => {
    const shown = alone ? subgraphOf(graph, new Set(kept)) : prune(graph, nodes, edges);
    const lines = shown.edges.map(({ from, to, weight, flow }) => [
      from.id,
      to.id,
      numberCell(weight),
      numberCell(flow),
    ]);
    return [["source", "target", "weight", "influence"], ...lines];
  };
  return (
    <Tools
      code={useTrait<string | null | undefined>(model, "code")}
      table={() => toTsv(rows())}
      csv={() => saveCsv(toCsv(rows()), "attribution_graph")}
      held={graph.json}
      kernel={{ model, state }}
    />
  );
}
