// The map that the pinned cell was opened into: a head by position, a layer by neuron.
import { useMemo, useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { canAsk, useTrait, type ViewModel } from "../../lib/model";
import { ErrorLine } from "../../lib/status";
import { useStore } from "../../lib/store";
import { isRaw } from "./cells";
import { SweepMap } from "./map";
import { type HeatmapInfo, metricLabel } from "./params";
import { Cell } from "./place";
import type { Sweep } from "./result";
import type { HeatmapState, ShownSweep } from "./state";
import { openedTitle } from "./words";

interface OpenedProps {
  model: ViewModel;
  state: HeatmapState;
}

export function Opened({ model, state }: OpenedProps) {
  const shown = useStore(state.opened);
  if (shown.problem) return <ErrorLine error={{ message: shown.problem }} />;
  if (!shown.value) return null;
  return <OpenedSweep model={model} state={state} shown={shown} sweep={shown.value} />;
}

function OpenedSweep({ model, state, shown, sweep }: OpenedProps & { shown: ShownSweep; sweep: Sweep }) {
  const [active, setActive] = useState<number | null>(null);
  const [pinned, setPinned] = useState<number | null>(null);
  const raw = useMemo(() => isRaw(sweep), [sweep]);
  const metric = metricLabel(useTrait<HeatmapInfo>(model, "info"), sweep.json);
  const inside = (cell: number | null) => (cell !== null && cell < sweep.state.length ? cell : null);
  const cell = inside(active) ?? inside(pinned);
  const title = openedTitle(sweep);
  // The title says which cell this is, also while another cell is being opened.
  const newer = useStore(state.rpc.pending).get("open");
  const fades = newer !== undefined && newer !== sweep.json.id;
  return (
    <section class={fades ? "hs-part hs-stale" : "hs-part"} data-hs="opened" aria-label={title}>
      <div class="hs-head">
        <h3 class="hs-title">{title}</h3>
        {canAsk(model) && (
          <span class="hs-tools">
            <Button name="close-opened" label={`Close ${title}`} quiet onClick={() => state.close()}>
              {"\u2715"}
            </Button>
          </span>
        )}
      </div>
      <SweepMap
        model={model}
        state={state}
        label={title}
        sweep={sweep}
        raw={raw}
        revision={shown}
        pinned={inside(pinned)}
        picked={NONE}
        onActive={setActive}
        onPin={setPinned}
        onPick={null}
      />
      <div class="hs-opened-cell" data-hs="opened-cell">
        <Cell sweep={sweep} raw={raw} metric={metric} cell={cell} />
      </div>
    </section>
  );
}

const NONE: readonly number[] = [];
