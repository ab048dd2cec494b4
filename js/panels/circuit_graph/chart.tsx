// Faithfulness over the size of circuits, on a logarithmic scale.
import { useRef } from "preact/hooks";
import { fixed } from "../../lib/format";
import { useReading } from "../../lib/keys";
import { range } from "../../lib/range";
import { useWidth } from "../../lib/use_width";
import type { Curve, Curves } from "./runs";

const HEIGHT = 230;
const EDGE = { left: 44, right: 132, top: 24, bottom: 38 };
const SAMPLE = 22; // how long the piece of a line beside its name is
/** Lines are told apart by their dashes, without colour. */
const STYLES: Record<string, { dash: string; label: string; help: string }> = {
  signed: { dash: "", label: "signed (CPR)", help: "the largest scores" },
  absolute: { dash: "7 3", label: "either sign (CMD)", help: "the largest scores of either sign" },
  complement: { dash: "2 3", label: "all others", help: "everything but the circuits of either sign" },
};
const NAME_GAP = 14;

const kindOf = (name: string): string => (name in STYLES ? name : "random");

export function CurveChart({ curves: { json, curves } }: { curves: Curves }) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const { sizes, level } = json;
  const { active, setActive, onKeyDown } = useReading(sizes.length);
  const chart = chartOf(sizes, curves, width);
  const at = active ?? sizes.length - 1;
  const near = (x: number) =>
    range(sizes.length).reduce((a, b) => (Math.abs(chart.x(b) - x) < Math.abs(chart.x(a) - x) ? b : a), 0);
  const words = `${sizeText(sizes[at] ?? 1)} of all ${level}s: ${curves
    .filter(({ name }) => name in STYLES)
    .map(({ name, values }) => `${STYLES[name]?.label} ${percentText(values[at] ?? Number.NaN)}`)
    .join(", ")}${json.jaccard ? `; Jaccard ${fixed(json.jaccard[at])}` : ""}`;
  const ends = namesOf(curves, chart);
  return (
    <div ref={box}>
      <div
        class="hs-focusable hs-curves"
        role="slider"
        tabIndex={0}
        aria-label="Faithfulness by the size of the circuit"
        aria-valuemin={0}
        aria-valuemax={sizes.length - 1}
        aria-valuenow={at}
        aria-valuetext={words}
        data-hs="curve-chart"
        onKeyDown={onKeyDown}
        onPointerMove={(event) =>
          setActive(near(event.clientX - event.currentTarget.getBoundingClientRect().left))
        }
        onPointerLeave={() => setActive(null)}
        onBlur={() => setActive(null)}
      >
        <svg width={width} height={HEIGHT} aria-hidden="true">
          <g class="hs-curve-ground">
            {chart.ticks.map(({ f, text }) => (
              <g key={f}>
                <line x1={EDGE.left} x2={width - EDGE.right} y1={chart.y(f)} y2={chart.y(f)} />
                <text x={EDGE.left - 6} y={chart.y(f) + 4} text-anchor="end">
                  {text}
                </text>
              </g>
            ))}
            {[0.001, 0.01, 0.1, 1]
              .filter((size) => size >= (sizes[0] ?? 0))
              .map((size) => (
                <text key={size} x={chart.xOf(size)} y={HEIGHT - EDGE.bottom + 16} text-anchor="middle">
                  {sizeText(size)}
                </text>
              ))}
            <text x={0} y={10}>
              faithfulness
            </text>
            <text x={chart.x(sizes.length - 1)} y={HEIGHT - 4} text-anchor="end">
              {`share of all ${level}s, logarithmic`}
            </text>
            {active !== null && (
              <line x1={chart.x(at)} x2={chart.x(at)} y1={EDGE.top} y2={HEIGHT - EDGE.bottom} />
            )}
          </g>
          {curves.map((curve) => (
            <path
              key={curve.name}
              class={`hs-curve hs-curve-${kindOf(curve.name)}`}
              data-curve={curve.name}
              d={lineOf(curve, chart)}
              stroke-dasharray={STYLES[curve.name]?.dash}
            />
          ))}
          {ends.map(({ text, kind, y }) => (
            <g key={text} data-hs="curve-name" transform={`translate(${width - EDGE.right + 8} ${y})`}>
              <path
                class={`hs-curve hs-curve-${kind}`}
                d={`M0 0H${SAMPLE}`}
                stroke-dasharray={STYLES[kind]?.dash}
              />
              <text x={SAMPLE + 6} y={4}>
                {text}
              </text>
            </g>
          ))}
        </svg>
      </div>
      <p class="hs-detail-words hs-said" data-hs="curve-words">
        {words}
      </p>
    </div>
  );
}

const sizeText = (size: number): string => `${Number((100 * size).toPrecision(3))}%`;

function chartOf(sizes: readonly number[], curves: readonly Curve[], width: number) {
  const [first, last] = [Math.log(sizes[0] ?? 0.001), Math.log(sizes.at(-1) ?? 1)];
  const right = Math.max(EDGE.left + 40, width - EDGE.right);
  const xOf = (size: number) =>
    EDGE.left + ((Math.log(size) - first) / (last - first || 1)) * (right - EDGE.left);
  const drawn = curves.flatMap(({ values }) => [...values].filter(Number.isFinite));
  // A curve that leaves the ground far behind is cut, or the others would be flat.
  const low = Math.max(-1, Math.min(0, ...drawn));
  const high = Math.min(2, Math.max(1, ...drawn));
  const y = (f: number) => {
    const cut = Math.min(high, Math.max(low, f));
    return EDGE.top + ((high - cut) / (high - low)) * (HEIGHT - EDGE.top - EDGE.bottom);
  };
  const ticks = [0, 0.5, 1].map((f) => ({ f, text: percentText(f) }));
  if (low < -0.15) ticks.push({ f: low, text: endText(low, Math.min(...drawn) < low, "\u2264") });
  if (high > 1.15) ticks.push({ f: high, text: endText(high, Math.max(...drawn) > high, "\u2265") });
  return { x: (i: number) => xOf(sizes[i] ?? 1), xOf, y, ticks };
}

/** An end of the scale; a sign says that curves go on beyond it. */
const endText = (f: number, cut: boolean, sign: string): string => `${cut ? sign : ""}${percentText(f)}`;
const percentText = (f: number): string => `${fixed(100 * f, 0)}%`;

type Chart = ReturnType<typeof chartOf>;

function lineOf({ values }: Curve, { x, y }: Chart): string {
  let path = "";
  let broken = true;
  values.forEach((value, i) => {
    if (Number.isFinite(value)) path += `${broken ? "M" : "L"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    broken = !Number.isFinite(value);
  });
  return path;
}

/** Names beside the ends of the curves, moved apart from top to bottom: many curves end in one point. */
function namesOf(curves: readonly Curve[], { y }: Chart) {
  const named = curves.flatMap(({ name, values }) => {
    const kind = kindOf(name);
    if (kind === "random" && name !== "random 0") return [];
    const last = values.at(-1) ?? Number.NaN;
    return [
      {
        kind,
        text: STYLES[kind]?.label ?? "random",
        y: Number.isFinite(last) ? y(last) : HEIGHT - EDGE.bottom,
      },
    ];
  });
  named.sort((a, b) => a.y - b.y);
  let least = EDGE.top;
  return named.map((one) => {
    const at = Math.max(least, one.y);
    least = at + NAME_GAP;
    return { ...one, y: at };
  });
}
