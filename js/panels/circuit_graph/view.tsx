// The CircuitGraph view: title, tabs, and the chosen tab.
import { Head } from "../../lib/head";
import { canAsk, useTrait, write } from "../../lib/model";
import { Root } from "../../lib/mount";
import type { PanelProps } from "../../lib/panel";
import { useStore } from "../../lib/store";
import { Tabs } from "../../lib/tabs";
import { AcdcTab } from "./acdc_tab";
import { EdgesTab } from "./edges_tab";
import { FaithfulnessTab } from "./faithfulness_tab";
import { type Graph, gapOf } from "./graph";
import { PathsTab } from "./paths_tab";
import { ScrubbingTab } from "./scrubbing_tab";
import type { CircuitState } from "./state";
import { CircuitTools } from "./tools";

const TABS = [
  { name: "edges", label: "Edges", title: "The edges with the largest estimated effects" },
  {
    name: "acdc",
    label: "ACDC",
    title: "Remove edges one after another, as long as the metric hardly changes",
  },
  { name: "paths", label: "Paths", title: "Follow paths back from the logits, by exact patching" },
  {
    name: "faithfulness",
    label: "Faithfulness",
    title: "What the circuit does without the rest of the model",
  },
  {
    name: "scrubbing",
    label: "Scrubbing",
    title: "How much of the loss is left when everything else is resampled",
  },
];

const TITLES: Record<string, string> = {
  acdc: "ACDC",
  paths: "Path patching",
  faithfulness: "Faithfulness",
  scrubbing: "Causal scrubbing",
};

export function CircuitView({ model, state }: PanelProps<CircuitState>) {
  const tab = useTrait<string>(model, "tab");
  const { value: graph } = useStore(state.graph);
  const { value: search } = useStore(state.search);
  const about = tab === "acdc" && search ? search.graph : graph;
  const words =
    tab === "acdc" && !search
      ? "which edges the metric can't do without"
      : about
        ? wordsOf(about, tab)
        : "which edges carry the difference between the two prompts";
  const Tab =
    { acdc: AcdcTab, paths: PathsTab, faithfulness: FaithfulnessTab, scrubbing: ScrubbingTab }[tab] ??
    EdgesTab;
  const [paths, robustness] = [useStore(state.paths), useStore(state.robustness)];
  const scrubbing = useStore(state.scrub.result);
  const empty = {
    acdc: !search,
    paths: !paths.some(Boolean),
    faithfulness: !robustness.value && !robustness.problem,
    scrubbing: !scrubbing.value && !scrubbing.problem,
  };
  // Without a kernel, a tab of what was never run would stay empty.
  const tabs = TABS.filter(({ name }) => canAsk(model) || name === tab || !empty[name as keyof typeof empty]);
  const title = TITLES[tab] ?? "Circuit";
  return (
    <Root name="circuit-graph" label="Circuit">
      <Head title={title} words={words}>
        {about && (
          <CircuitTools model={model} state={state} graph={about} tab={tab} title={title} subtitle={words} />
        )}
      </Head>
      <Tabs label="Views" tabs={tabs} chosen={tab} onChoose={(name) => write(model, "tab", name)}>
        <Tab model={model} state={state} />
      </Tabs>
    </Root>
  );
}

function wordsOf({ json }: Graph, tab: string): string {
  if (tab === "scrubbing") return "how much of the loss a hypothesis explains";
  const { metric_label, params } = json;
  const many = params.pairs ? `, mean of ${params.pairs.length} pairs` : "";
  if (tab === "acdc") return metric_label + many;
  const known = Number.isFinite(gapOf(json));
  const unit =
    tab === "faithfulness"
      ? "; 100% is the whole model, 0% the model with everything ablated"
      : known
        ? "; 100% is the gap between the prompts"
        : "; the prompts score the same, so there is no scale";
  return metric_label + many + unit;
}
