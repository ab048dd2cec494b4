// Which circuit a tab is about: the largest edges of the first tab, or what ACDC has found.
import { NameMenu } from "../../lib/controls";
import { useTrait, type ViewModel, write } from "../../lib/model";
import { useStore } from "../../lib/store";
import type { Graph } from "./graph";
import { numberText, thresholdAt } from "./search";
import { CircuitSlider } from "./slider";
import type { CircuitState } from "./state";

export type Source = "edges" | "acdc" | "kept";

/** The circuit of a tab that runs it, with the slider of its size if it is that of the largest edges. */
export function CircuitChoice({
  model,
  state,
  graph,
}: {
  model: ViewModel;
  state: CircuitState;
  graph: Graph;
}) {
  const source = useTrait<Source | undefined>(model, "source") ?? "edges";
  const chosen = useTrait<number | null | undefined>(model, "threshold");
  const { value: search } = useStore(state.search);
  const threshold = search?.json.thresholds[thresholdAt(search, chosen)] ?? 0;
  const kept = useTrait<string[] | null | undefined>(model, "kept");
  const keptName = useTrait<string>(model, "kept_name");
  const found = search ? `of ACDC, at ${numberText(threshold)}` : "of ACDC";
  return (
    <>
      {(search || kept || source !== "edges") && (
        <div class="hs-slider hs-small">
          <NameMenu<Source>
            name="source"
            label="Circuit"
            choices={[
              { name: "edges", label: "of the largest edges", help: "those of the first tab" },
              ...(search ? [{ name: "acdc" as const, label: found, help: "what the ACDC tab shows" }] : []),
              ...(kept ? [{ name: "kept" as const, label: "kept", help: keptName }] : []),
            ]}
            value={source}
            onChoose={(name) => write(model, "source", name)}
          />
        </div>
      )}
      {source === "edges" && <CircuitSlider model={model} graph={graph} />}
    </>
  );
}
