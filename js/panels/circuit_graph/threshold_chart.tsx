// The size of the circuit, and what the metric is in its run, over the thresholds of a search.
import { useRef, useState } from "preact/hooks";
import { indexAfterKey, keyHandler } from "../../lib/keys";
import { range } from "../../lib/range";
import { useWidth } from "../../lib/use_width";
import { numberText, plainValue, type Search } from "./search";

const HEIGHT = 84;
const EDGE = { left: 44, right: 12, top: 8, bottom: 8 };
const AXIS = 18;
const APART = 34; // between two labels of the axis

interface ChartProps {
  search: Search;
  /** What the metric is called. */
  label: string;
  at: number;
  onChoose(at: number): void;
}

/** Two small charts, one above the other, that share their axis of thresholds. */
export function ThresholdChart({ search, label, at, onChoose }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const [over, setOver] = useState<number | null>(null);
  const { thresholds, sizes, values, params, baselines } = search.json;
  const x = axisOf(thresholds, width);
  const nearest = (event: PointerEvent | MouseEvent) => {
    const left = (event.currentTarget as Element).getBoundingClientRect().left;
    const away = (i: number) => Math.abs(x(i) - (event.clientX - left));
    return range(thresholds.length).reduce((best, i) => (away(i) < away(best) ? i : best), 0);
  };
  const metric = (value: number | null | undefined) => plainValue(params.metric, value);
  const said = (i: number) =>
    `threshold ${numberText(thresholds[i] ?? 0)}: ${sizes[i]} edges, ${label} ${metric(values[i])}`;
  const rows = [
    { name: "edges", of: sizes, text: (n: number) => String(n), whole: null },
    { name: label, of: values, text: metric, whole: baselines.clean ?? null },
  ];
  return (
    <div ref={box}>
      <div
        class="hs-focusable hs-curves hs-thresholds"
        role="slider"
        tabIndex={0}
        aria-label="The circuit by threshold"
        aria-valuemin={0}
        aria-valuemax={thresholds.length - 1}
        aria-valuenow={at}
        aria-valuetext={said(at)}
        data-hs="threshold-chart"
        onKeyDown={keyHandler(({ key }) => {
          const next = indexAfterKey(key, at, thresholds.length);
          if (next !== null) onChoose(next);
          return next !== null;
        })}
        onPointerMove={(event) => setOver(nearest(event))}
        onPointerLeave={() => setOver(null)}
        onClick={(event) => onChoose(nearest(event))}
      >
        <svg width={width} height={2 * HEIGHT + AXIS} aria-hidden="true">
          {rows.map((row, i) => (
            <Row key={row.name} {...row} x={x} width={width} top={i * HEIGHT} at={at} over={over} />
          ))}
          {labelled(thresholds, x).map((i) => (
            <text key={i} x={x(i)} y={2 * HEIGHT + 12} text-anchor="middle">
              {numberText(thresholds[i] ?? 0)}
            </text>
          ))}
        </svg>
      </div>
      <p class="hs-detail-words hs-threshold-words" data-hs="threshold-words">
        {over !== null && said(over)}
      </p>
    </div>
  );
}

interface RowProps {
  name: string;
  of: readonly (number | null)[];
  text(value: number): string;
  /** The metric of the whole model. */
  whole: number | null;
  x(i: number): number;
  width: number;
  top: number;
  at: number;
  over: number | null;
}

function Row({ name, of, text, whole, x, width, top, at, over }: RowProps) {
  const known = [...of, whole].flatMap((value) => (value === null ? [] : [value]));
  const [low, high] = [Math.min(0, ...known), Math.max(0, ...known)];
  const y = (value: number) =>
    top + EDGE.top + 10 + ((high - value) / (high - low || 1)) * (HEIGHT - EDGE.top - EDGE.bottom - 10);
  const points = of.flatMap((value, i) => (value === null ? [] : [{ i, x: x(i), y: y(value) }]));
  return (
    <g data-hs="threshold-row">
      <g class="hs-curve-ground">
        {[low, high].map((value) => (
          <g key={value}>
            <line x1={EDGE.left} x2={width - EDGE.right} y1={y(value)} y2={y(value)} />
            <text x={EDGE.left - 6} y={y(value) + 4} text-anchor="end">
              {text(value)}
            </text>
          </g>
        ))}
        <text x={EDGE.left} y={top + 10}>
          {name}
        </text>
        {over !== null && <line x1={x(over)} x2={x(over)} y1={y(high)} y2={y(low)} />}
      </g>
      {whole !== null && whole !== 0 && (
        <line
          class="hs-curve hs-curve-random"
          x1={EDGE.left}
          x2={width - EDGE.right}
          y1={y(whole)}
          y2={y(whole)}
        />
      )}
      <path
        class="hs-curve"
        d={points.map(({ x, y }, i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("")}
      />
      {points.map((point) => (
        <circle
          key={point.i}
          class="hs-threshold-point"
          data-chosen={point.i === at}
          cx={point.x}
          cy={point.y}
          r={point.i === at ? 4.5 : 2.5}
        />
      ))}
    </g>
  );
}

/** Where each threshold is, on a logarithmic scale. */
function axisOf(thresholds: readonly number[], width: number): (i: number) => number {
  const logs = thresholds.map(Math.log);
  const [first = 0, last = 0] = [logs[0], logs.at(-1)];
  const [left, right] = [EDGE.left + 8, Math.max(EDGE.left + 40, width - EDGE.right - 8)];
  return (i) => left + (((logs[i] ?? first) - first) / (last - first || 1)) * (right - left);
}

/** The thresholds that have room for their number: both ends, and those between that are far enough apart. */
function labelled(thresholds: readonly number[], x: (i: number) => number): number[] {
  const last = thresholds.length - 1;
  const chosen = [0];
  for (let i = 1; i < last; i++) {
    if (x(i) - x(chosen.at(-1) ?? 0) >= APART && x(last) - x(i) >= APART) chosen.push(i);
  }
  return last > 0 ? [...chosen, last] : chosen;
}
