// What is estimated in a map and what is exact: a line that says so, and the two against each other.
import { useMemo, useState } from "preact/hooks";
import { Argument } from "../../lib/arguments";
import { Button } from "../../lib/controls";
import { count, fixed } from "../../lib/format";
import { indexAfterKey, isChoosing, keyHandler } from "../../lib/keys";
import { canAsk, type Status, select, useSelection, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { COMPUTED, ESTIMATE } from "../../wire/requests";
import type { HeatmapInfo } from "./params";
import { cellOf, placeOf, stateOf } from "./places";
import type { Agreement, Sweep } from "./result";
import { type Chart, cellAt, chartOf, furthest, pathOf } from "./scatter";
import type { HeatmapState } from "./state";
import { effectText, placeWords } from "./words";

type EstimateProps = PanelProps<HeatmapState> & { sweep: Sweep; revision: unknown };

/** Says which cells are estimates, and runs the others on a click. */
export function EstimatedLine({ model, state, sweep, revision }: EstimateProps) {
  const status = useTrait<Status>(model, "status");
  const left = useMemo(() => countOf(sweep, ESTIMATE), [sweep, revision]);
  const exact = useMemo(() => countOf(sweep, COMPUTED), [sweep, revision]);
  if (left === 0) return null;
  const running = status === "running" || status === "queued";
  const ordered = sweep.agreement !== null; // the sweep runs cells in the order of their estimates
  const words = !ordered
    ? "Hatched: estimated from gradients, not run."
    : running
      ? `Hatched: ${count(left, "cell")} estimated from gradients. Exact values replace them, the largest first.`
      : `${count(exact, "cell")} ${exact === 1 ? "is" : "are"} exact; hatched: ${left} estimated from gradients.`;
  const all = () => state.run({ options: { ...state.params().options, exact: 1 } });
  return (
    <p class="hs-quiet" data-hs="estimated">
      {words}{" "}
      {!running && ordered && canAsk(model) && (
        <Button name="exact-all" title="Run every cell, however long it takes" onClick={all}>
          Run all of them
        </Button>
      )}
    </p>
  );
}

function countOf(sweep: Sweep, state: number): number {
  let found = 0;
  for (let cell = 0; cell < sweep.state.length; cell++) if (stateOf(sweep, cell) === state) found++;
  return found;
}

const SIDE = 216;
const LISTED = 5;

/** How well the estimates agree with the exact effects. */
export function EstimateCheck({ model, state, sweep, revision }: EstimateProps) {
  const info = useTrait<HeatmapInfo>(model, "info");
  const pinned = cellOf(sweep, useSelection(model));
  const chart = useMemo(() => chartOf(sweep, SIDE), [sweep, revision]);
  if (!sweep.agreement || !sweep.estimates) return null;
  const pin = (cell: number | null) => select(model, cell === null ? null : placeOf(sweep, cell));
  const field = info.fields?.find(({ name }) => name === "estimate");
  return (
    <section class="hs-check" data-hs="estimate-check" aria-label="Estimated and exact effects">
      <Scatter sweep={sweep} chart={chart} pinned={pinned} onPin={pin} />
      <div class="hs-check-words">
        {field && canAsk(model) && (
          <div>
            Estimated by{" "}
            <Argument
              name="estimate-rule"
              field={{ ...field, choices: field.choices.filter(({ name }) => name !== "none") }}
              value={sweep.json.params.estimate}
              onChange={(estimate) => state.run({ options: { ...state.params().options, estimate } })}
            />
          </div>
        )}
        <Numbers agreement={sweep.agreement} />
      </div>
      <Furthest sweep={sweep} cells={furthest(sweep, chart.cells, LISTED)} onPin={pin} />
    </section>
  );
}

interface ScatterProps {
  sweep: Sweep;
  chart: Chart;
  pinned: number | null;
  onPin(cell: number | null): void;
}

/** Estimates against exact effects. A point is a place, so that it can be pinned like its cell. */
function Scatter({ sweep, chart, pinned, onPin }: ScatterProps) {
  const [active, setActive] = useState<number | null>(null);
  const { cells } = chart;
  const path = useMemo(() => pathOf(sweep, chart), [chart]);
  const hovered = active !== null && cells.includes(active) ? active : null;
  const walked = cells.indexOf(hovered ?? pinned ?? -1);
  const at = (event: PointerEvent | MouseEvent) => {
    const { left, top } = (event.currentTarget as Element).getBoundingClientRect();
    return cellAt(sweep, chart, event.clientX - left, event.clientY - top);
  };
  const onKeyDown = keyHandler((event) => {
    const next = indexAfterKey(event.key, walked < 0 ? null : walked, cells.length);
    if (next !== null) setActive(cells[next] ?? null);
    else if (isChoosing(event)) onPin(hovered);
    else return false;
    return true;
  });
  return (
    <figure class="hs-scatter">
      <div
        class="hs-focusable"
        data-hs="scatter"
        data-points={cells.length}
        role="slider"
        tabIndex={0}
        aria-label={`Estimates and exact effects of ${count(cells.length, "cell")}: arrow keys go from estimate to estimate, Enter pins`}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, cells.length - 1)}
        aria-valuenow={Math.max(0, walked)}
        aria-valuetext={hovered === null ? "no cell" : pointWords(sweep, hovered)}
        onPointerMove={(event) => setActive(at(event))}
        onPointerLeave={() => setActive(null)}
        onClick={(event) => onPin(at(event))}
        onKeyDown={onKeyDown}
      >
        <svg width={SIDE} height={SIDE} aria-hidden="true">
          <Ground reach={chart.reach} />
          <path class="hs-points" d={path} />
          <Mark sweep={sweep} cell={pinned} chart={chart} />
          <Mark sweep={sweep} cell={hovered} chart={chart} />
        </svg>
      </div>
      <figcaption class="hs-detail-words" data-hs="scatter-cell">
        {hovered === null ? "On the line, estimate and effect agree." : pointWords(sweep, hovered)}
      </figcaption>
    </figure>
  );
}

function Ground({ reach }: Pick<Chart, "reach">) {
  const [middle, end] = [SIDE / 2, SIDE];
  return (
    <g class="hs-ground">
      <text x={end - 4} y={middle - 5} text-anchor="end">
        estimate {fixed(reach, 1)}
      </text>
      <text x={middle + 5} y={12}>
        exact {fixed(reach, 1)}
      </text>
      <line x1={0} x2={end} y1={middle} y2={middle} />
      <line x1={middle} x2={middle} y1={0} y2={end} />
      <line class="hs-diagonal" x1={0} x2={end} y1={end} y2={0} />
    </g>
  );
}

function Mark({ sweep, cell, chart }: { sweep: Sweep; cell: number | null; chart: Chart }) {
  const [estimate, effect] = cell === null ? [] : [sweep.estimates?.[cell], sweep.normalized[cell]];
  if (cell === null || estimate === undefined || effect === undefined || !chart.cells.includes(cell))
    return null;
  return <circle class="hs-point-mark" data-cell={cell} cx={chart.x(estimate)} cy={chart.y(effect)} r={5} />;
}

const NO_NUMBER = "\u2013";
const share = (part: number | null): string => (part === null ? NO_NUMBER : `${fixed(100 * part, 0)}%`);
const correlation = (value: number | null): string => (value === null ? NO_NUMBER : fixed(value));

function Numbers({ agreement }: { agreement: Agreement }) {
  const { cells, pearson, spearman, k, precision, recall } = agreement;
  const rows: [string, string, string][] = [
    ["Pearson", correlation(pearson), "How far the points are on a line: large effects weigh most"],
    [
      "Spearman",
      correlation(spearman),
      "How well the order of the effects is estimated: all cells weigh the same",
    ],
    [
      `precision at ${k}`,
      share(precision),
      `Of the ${k} cells with the largest estimates, how many have an effect of 0.1 or more, of either sign`,
    ],
    [
      `recall at ${k}`,
      share(recall),
      `Of all cells with an effect of 0.1 or more, how many are among the ${k} with the largest estimates. Known once every cell was run`,
    ],
  ];
  return (
    <dl class="hs-agreement" data-hs="agreement" title={`Over the ${count(cells, "cell")} that were run`}>
      {rows.map(([name, value, help]) => (
        <div key={name} title={help}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function pointWords(sweep: Sweep, cell: number): string {
  const [estimate = 0, effect = 0] = [sweep.estimates?.[cell], sweep.normalized[cell]];
  return `${placeWords(sweep, cell)}: estimate ${effectText(sweep, estimate)}, exact ${effectText(sweep, effect)}`;
}

interface FurthestProps {
  sweep: Sweep;
  cells: number[];
  onPin(cell: number): void;
}

function Furthest({ sweep, cells, onPin }: FurthestProps) {
  if (cells.length === 0) return null;
  return (
    <ol class="hs-furthest" data-hs="furthest" aria-label="The cells whose estimates are furthest off">
      <li class="hs-muted" aria-hidden="true">
        furthest off
      </li>
      {cells.map((cell) => (
        <li key={cell}>
          <button
            type="button"
            class="hs-plain hs-focusable"
            title="Pin this cell"
            onClick={() => onPin(cell)}
          >
            {pointWords(sweep, cell)}
          </button>
        </li>
      ))}
    </ol>
  );
}
