// The CircuitGraph view: title, tabs, and the chosen tab.
import { useMemo } from "preact/hooks";
import { Head } from "../../lib/head";
import { useTrait, write } from "../../lib/model";
import { Root } from "../../lib/mount";
import type { PanelProps } from "../../lib/panel";
import { useStore } from "../../lib/store";
import { Tabs } from "../../lib/tabs";
import { EdgesTab } from "./edges_tab";
import { gapOf } from "./graph";
import { PathsTab } from "./paths_tab";
import type { CircuitState } from "./state";
import { CircuitTools } from "./tools";

const TABS = [
  { name: "edges", label: "Edges", title: "The edges with the largest estimated effects" },
  { name: "paths", label: "Paths", title: "Follow paths back from the logits, by exact patching" },
];

export function CircuitView({ model, state }: PanelProps<CircuitState>) {
  const tab = useTrait<string>(model, "tab");
  const { value: graph } = useStore(state.graph);
  const words = useMemo(() => {
    if (!graph) return "which edges carry the difference between the two prompts";
    const { metric_label, params } = graph.json;
    const gap = gapOf(graph.json);
    const many = params.pairs ? `, mean of ${params.pairs.length} pairs` : "";
    const unit = Number.isFinite(gap) ? `; 100% is the gap between the prompts` : "";
    return `${metric_label}${many}${unit}`;
  }, [graph]);
  const titles: Record<string, string> = { edges: "Circuit", paths: "Path patching" };
  return (
    <Root name="circuit-graph" label="Circuit">
      <Head title={titles[tab] ?? "Circuit"} words={words}>
        {graph && <CircuitTools model={model} state={state} graph={graph} tab={tab} />}
      </Head>
      <Tabs label="Views" tabs={TABS} chosen={tab} onChoose={(name) => write(model, "tab", name)}>
        {tab === "paths" ? (
          <PathsTab model={model} state={state} />
        ) : (
          <EdgesTab model={model} state={state} />
        )}
      </Tabs>
    </Root>
  );
}
