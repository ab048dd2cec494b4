// The export buttons: Python code, a table, pictures, all numbers.
import { saveCsv } from "../../lib/clipboard";
import { count } from "../../lib/format";
import { Tools } from "../../lib/head";
import { useRising, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { numberCell, toCsv, toTsv } from "../../lib/table";
import { usePalette } from "../../lib/theme";
import type { Graph } from "./graph";
import { saveGraphPng, saveGraphSvg } from "./picture_file";
import { prune, subgraphOf } from "./prune";
import type { FeatureState } from "./state";
import { type Scores, scoreWords } from "./subgraph";
import type { Names } from "./words";

type ToolsProps = PanelProps<FeatureState> & { graph: Graph; subtitle: string };

export function GraphTools({ model, state, graph, subtitle }: ToolsProps) {
  const nodes = useTrait<number>(model, "node_share");
  const edges = useTrait<number>(model, "edge_share");
  const kept = useTrait<string[]>(model, "subgraph");
  const alone = useTrait<string>(model, "shows") === "subgraph" && kept.length > 0;
  const groups = useTrait<Record<string, string[]>>(model, "supernodes");
  const names = useTrait<Names>(model, "names");
  const scores = useTrait<Scores | null | undefined>(model, "scores");
  const rising = useRising(model);
  const palette = usePalette();
  const drawn = () => (alone ? subgraphOf(graph, new Set(kept)) : prune(graph, nodes, edges));
  const rows = () => {
    const lines = drawn().edges.map(({ from, to, weight, flow }) => [
      from.id,
      to.id,
      numberCell(weight),
      numberCell(flow),
    ]);
    return [["source", "target", "weight", "influence"], ...lines];
  };
  const save = (saveAs: typeof saveGraphPng) => () =>
    saveAs({
      title: alone ? "Subgraph of an attribution graph" : "Attribution graph",
      subtitle: alone
        ? [count(kept.length, "node"), scoreWords(scores)].filter(Boolean).join(", ")
        : subtitle,
      graph,
      shown: drawn(),
      groups,
      names,
      rising,
      named: alone,
      marked: new Set(alone ? [] : kept),
      palette,
    });
  return (
    <Tools
      code={useTrait<string | null | undefined>(model, "code")}
      script={false}
      table={() => toTsv(rows())}
      csv={() => saveCsv(toCsv(rows()), "attribution_graph")}
      held={graph.json}
      kernel={{ model, state }}
      picture={save(saveGraphPng)}
      vector={save(saveGraphSvg)}
    />
  );
}
