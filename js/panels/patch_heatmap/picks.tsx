// The picked cells: the button that patches them together, and their joint effect.
import { Button } from "../../lib/controls";
import { fixed, metricValue } from "../../lib/format";
import { canAsk, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { useStore } from "../../lib/store";
import { narrowerTo } from "./narrow";
import { cellOf } from "./places";
import type { Sweep } from "./result";
import type { HeatmapState, Together } from "./state";

type PicksProps = PanelProps<HeatmapState> & { sweep: Sweep };

const MOST = 500;

export function PickBar({ model, state, sweep }: PicksProps) {
  const picked = useStore(state.picked);
  const together = useTrait<Together | null | undefined>(model, "together");
  const answer = answerFor(together, sweep, picked);
  const few = picked.length < 2;
  const narrower = few ? null : narrowerTo(sweep, picked);
  const tooMany = picked.length > MOST;
  return (
    <div class={few ? "" : "hs-picks"} data-hs="picks" data-count={picked.length}>
      <span role="status">
        {!few && `${picked.length} cells picked`}
        {!few && tooMany && `; at most ${MOST} can be patched together`}
        {!few && answer && <b data-hs="together">{answerWords(answer)}</b>}
      </span>
      {!few && canAsk(model) && (
        <>
          {!answer && (
            <Button
              name="patch-together"
              title="Patch all of them in one run"
              disabled={tooMany}
              onClick={() => state.patchTogether()}
            >
              Patch together
            </Button>
          )}
          {narrower && (
            <Button name="only-these" title={narrower.title} onClick={() => state.restrict(narrower.parts)}>
              Only these {narrower.words}
            </Button>
          )}
          <Button name="clear-picks" title="Unpick them" quiet onClick={() => state.picked.set([])}>
            Clear
          </Button>
        </>
      )}
    </div>
  );
}

function answerWords({ normalized, sum, value, metric }: Together): string {
  if (normalized === null) return `together ${metricValue(metric, value)}`;
  return `together ${fixed(normalized)}, sum of single effects ${fixed(sum)}`;
}

/** The joint effect of the picked cells, if it is known. */
export function answerFor(
  together: Together | null | undefined,
  sweep: Sweep,
  picked: readonly number[],
): Together | null {
  return picked.length > 1 && together && isOf(together, sweep, picked) ? together : null;
}

/** Whether the answer is about the currently picked cells and the current metric. */
function isOf(together: Together, sweep: Sweep, picked: readonly number[]): boolean {
  if (together.metric !== sweep.json.params.metric) return false;
  const cells = new Set(together.cells.map((cell) => cellOf(sweep, cell)));
  return cells.size === picked.length && picked.every((cell) => cells.has(cell));
}
