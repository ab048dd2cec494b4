// A cell's place and value, beside the tables of tokens.
import type { ComponentChildren } from "preact";
import { metricValue } from "../../lib/format";
import { TokenPair } from "../../lib/grid_labels";
import { UNCHANGED } from "../../wire/requests";
import { axisWords, isPosition, tokensAt, unravel } from "./places";
import type { Axis, Sweep } from "./result";
import { effectWords, intervalWords, pairWords, unpatchedWords, whyNone } from "./words";

export interface CellProps {
  /** More that can be done with cells, shown while no cell is read. */
  hint?: string;
  sweep: Sweep;
  raw: boolean;
  /** The metric's name. */
  metric: string;
  cell: number | null;
}

export function Cell({ cell, hint = "", ...props }: CellProps) {
  if (cell === null)
    return <p class="hs-detail-words">Hover over a cell to read it, click to pin it{hint}.</p>;
  return (
    <>
      <h3 class="hs-detail-place">
        <Place sweep={props.sweep} cell={cell} />
      </h3>
      <p class="hs-detail-words">
        <Words {...props} cell={cell} />
      </p>
    </>
  );
}

function Words({ sweep, raw, metric, cell }: CellProps & { cell: number }) {
  const none = whyNone(sweep, cell);
  if (none)
    return <>{sweep.state[cell] === UNCHANGED ? `${none} here, so patching changes nothing` : none}</>;
  const value = `${metric} ${metricValue(sweep.json.params.metric, sweep.values[cell])}`;
  const lines: ComponentChildren[] = [
    !raw && <b>{effectWords(sweep, cell)}</b>,
    intervalWords(sweep, cell),
    ...pairWords(sweep, cell),
    unpatchedWords(sweep, cell),
    value,
  ].filter(Boolean);
  return <>{lines.flatMap((line, i) => (i === 0 ? [line] : [<br key={i} />, line]))}</>;
}

function Place({ sweep, cell }: { sweep: Sweep; cell: number }) {
  const at = unravel(cell, sweep.shape);
  const parts: ComponentChildren[] = sweep.axes.map((axis, i) => (
    <AxisPlace key={axis} sweep={sweep} axis={axis} index={at[i] ?? 0} />
  ));
  return <>{parts.flatMap((part, i) => (i === 0 ? [part] : [", ", part]))}</>;
}

function AxisPlace({ sweep, axis, index }: { sweep: Sweep; axis: Axis; index: number }) {
  if (!isPosition(axis)) return <>{axisWords(sweep, axis, index)}</>;
  return (
    <>
      {axis === "source" && "looking at "}
      <TokenPair lines={tokensAt(sweep, axis, index)} />
    </>
  );
}
