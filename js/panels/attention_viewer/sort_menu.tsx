// The order of the heads: as in the model, or by a score, in two groups by what it is measured on.
import { canAsk, type ViewModel, write } from "../../lib/model";
import { useStore } from "../../lib/store";
import type { Scene } from "./scene";
import { ON, type Score } from "./scores";
import type { AttentionState } from "./state";

interface SortMenuProps {
  model: ViewModel;
  state: AttentionState;
  scene: Scene;
}

const LAYER = "layer";
/** The entry for scores that are not measured yet. */
const MEASURE = "+";

export function SortMenu({ model, state, scene }: SortMenuProps) {
  const { scores, score } = scene;
  const aside = useStore(state.aside);
  const on = (what: Score["on"]) => scores.filter((one) => one.on === what);
  const measures = on("random").length === 0 && canAsk(model);
  if (scores.length === 0 && !measures) return null;
  const measuring = aside?.what === "scores" && aside.problem === null;
  const choose = (name: string) => {
    if (name === MEASURE) state.measureHeads();
    else write(model, "sort", name);
  };
  const unsorted = scene.attention.json.names ? "in their order" : "by layer and head";
  const shown = score ? `by ${score.label}` : unsorted;
  return (
    <label class="hs-select" title={score ? `Order: ${score.help}, ${ON[score.on]}` : "Order"}>
      <span aria-hidden="true">{measuring ? "measuring\u2026" : shown}</span>
      <select
        data-hs="sort"
        aria-label="Order"
        value={score?.name ?? LAYER}
        onChange={(event) => {
          choose(event.currentTarget.value);
          // The entry that measures scores sends a request and is not itself an order.
          event.currentTarget.value = score?.name ?? LAYER;
        }}
      >
        <option value={LAYER}>{unsorted}</option>
        {on("prompt").length > 0 && <Group label={ON.prompt} scores={on("prompt")} />}
        {on("random").length > 0 && <Group label={ON.random} scores={on("random")} />}
        {measures && (
          <optgroup label={ON.random}>
            <option value={MEASURE} disabled={measuring}>
              {measuring ? "measuring\u2026" : "measure on repeated random tokens"}
            </option>
          </optgroup>
        )}
      </select>
    </label>
  );
}

function Group({ label, scores }: { label: string; scores: Score[] }) {
  return (
    <optgroup label={label}>
      {scores.map((score) => (
        <option key={score.name} value={score.name} title={score.help}>
          {`by ${score.label} \u2014 ${score.help}`}
        </option>
      ))}
    </optgroup>
  );
}
