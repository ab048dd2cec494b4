// The map that is kept, and what is shown: the map, the kept one, or the first minus the second.
import { Button, NameMenu } from "../../lib/controls";
import { trait, useTrait, type ViewModel, write } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { quoted } from "../../lib/picture_caption";
import { useStore } from "../../lib/store";
import { type HeatmapInfo, metricLabel } from "./params";
import type { Sweep } from "./result";
import type { HeatmapState, ShownSweep } from "./state";

export type Shows = "map" | "kept" | "difference";

interface Shown {
  /** What was chosen. */
  chosen: Shows;
  /** What is shown: the map if there is no difference. */
  which: Shows;
  shown: ShownSweep;
  /** Why there is no difference. */
  why: string | null;
}

/** What the view shows of the map, the kept one and their difference. */
export function useShown({ model, state }: PanelProps<HeatmapState>): Shown {
  const chosen = useTrait<Shows | undefined>(model, "shows") ?? "map";
  const [map, kept, difference] = [
    useStore(state.shown),
    useStore(state.kept),
    useStore(state.difference),
  ] as const;
  const why = useWhyNone(model, map.value, difference);
  if (chosen === "kept" && kept.value) return { chosen, which: chosen, shown: kept, why };
  if (chosen === "difference" && difference.value && !why)
    return { chosen, which: chosen, shown: difference, why };
  return { chosen, which: "map", shown: map, why };
}

function useWhyNone(model: ViewModel, map: Sweep | null, difference: ShownSweep): string | null {
  const info = useTrait<HeatmapInfo>(model, "info");
  const why = useTrait<string | undefined>(model, "why_no_difference");
  if (why || !map) return why || "There is no map yet.";
  if (!difference.value) return difference.problem ?? "It is being computed.";
  const { metric } = difference.value.json.params;
  // Without a kernel, another metric can be shown, but not subtracted.
  if (metric === map.json.params.metric) return null;
  return `The difference was saved for the metric ${metricLabel(info, { params: { metric } })}.`;
}

export function KeepButton({ model, state }: PanelProps<HeatmapState>) {
  if (model.readonly) return null;
  return (
    <Button name="keep" title="Keep this map, to compare others with it" quiet onClick={() => state.keep()}>
      Keep
    </Button>
  );
}

/** The choice of what is shown, once a map is kept. */
export function CompareLine({ model, state, shown }: PanelProps<HeatmapState> & { shown: Shown }) {
  const info = useTrait<HeatmapInfo>(model, "info");
  const { value: kept, problem } = useStore(state.kept);
  const { value: map } = useStore(state.shown);
  const { value: difference } = useStore(state.difference);
  if (problem) return <p class="hs-quiet">{problem}</p>;
  if (!kept) return null;
  const { chosen, which, why } = shown;
  const words = mapWords(info, kept, map);
  const choices = [
    { name: "map", label: "this map", help: map ? mapWords(info, map, kept) : "" },
    { name: "kept", label: "kept map", help: words },
    { name: "difference", label: "difference", help: difference?.json.headline, reason: why },
  ] as const;
  return (
    <div class="hs-controls hs-compare" data-hs="compare">
      <NameMenu
        name="shows"
        label="Shown"
        choices={choices}
        value={chosen}
        onChoose={(name) => write(model, "shows", name)}
      />
      <span class="hs-small hs-cut" data-hs="kept-words" title={words}>
        kept: {words}
      </span>
      {!model.readonly && (
        <Button name="drop-kept" title="Forget the kept map" quiet onClick={() => state.dropKept()}>
          Drop
        </Button>
      )}
      {chosen === "difference" && which === "map" && (
        <span class="hs-small" role="status" data-hs="no-difference">
          No difference: {why}
        </span>
      )}
    </div>
  );
}

/** A map in words, with its prompt if that of the other map is another one. */
function mapWords(info: HeatmapInfo, { json }: Sweep, other: Sweep | null): string {
  const { text } = json.prompts.clean;
  const direction = info.directions.find(({ name }) => name === json.params.direction)?.label;
  const parts = [json.params.activation, metricLabel(info, json), direction];
  if (other && other.json.prompts.clean.text !== text) parts.push(quoted(text));
  return parts.filter(Boolean).join(", ");
}

/** The code of what is shown. A kept map has none of its own. */
export function codeOf(model: ViewModel, which: Shows): string | null {
  if (which === "kept") return null;
  return trait<string | undefined>(model, which === "map" ? "code" : "difference_code") || null;
}
