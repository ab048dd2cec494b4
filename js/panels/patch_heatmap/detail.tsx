// One cell in detail: its effect, and the likeliest next tokens of the clean, the patched and the corrupt run. For a
// data set of pairs: its effect in each pair.
import type { ComponentChildren } from "preact";
import { metricValue } from "../../lib/format";
import { TopTokens } from "../../lib/top_tokens";
import { Cell, type CellProps } from "./place";
import type { Run } from "./result";
import { PairStrip } from "./strip";
import { topOfCell, topOfRun, valueOfCell } from "./tops";

interface DetailProps extends CellProps {
  pinned: boolean;
  /** The buttons for the pinned cell. */
  children: ComponentChildren;
}

const FEW = 3;
const MANY = 10;

export function Detail({ sweep, raw, metric, cell, hint, pinned, children }: DetailProps) {
  const rows = pinned ? MANY : FEW;
  const baselines = sweep.json.baselines;
  const top = (name: Run | "patched", value: number | null, tokens: ReturnType<typeof topOfRun>) => (
    <TopTokens
      name={name}
      heading={value === null ? name : heading(name, metricValue(sweep.json.params.metric, value))}
      tokens={tokens}
      rows={rows}
      logits
    />
  );
  return (
    <div class="hs-detail hs-part" data-hs="detail" data-rows={rows}>
      <div class="hs-detail-cell" data-hs="detail-cell">
        <Cell sweep={sweep} raw={raw} metric={metric} cell={cell} hint={hint} />
        {children}
      </div>
      {sweep.pairs ? (
        cell !== null && <PairStrip sweep={sweep} cell={cell} />
      ) : (
        <>
          {top("clean", baselines.clean, topOfRun(sweep, "clean"))}
          {top(
            "patched",
            cell === null ? null : valueOfCell(sweep, cell),
            cell === null ? null : topOfCell(sweep, cell),
          )}
          {top("corrupt", baselines.corrupt, topOfRun(sweep, "corrupt"))}
        </>
      )}
    </div>
  );
}

function heading(name: string, value: string) {
  return (
    <>
      {name} <b>{value}</b>
    </>
  );
}
