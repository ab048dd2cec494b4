// How the logit difference adds up: one bar for each step, from the sum before it to the sum after it.
import { useRef } from "preact/hooks";
import { signed } from "../../lib/format";
import { useReading } from "../../lib/keys";
import { useWidth } from "../../lib/use_width";
import type { Step } from "./attribution_sums";

interface WaterfallProps {
  steps: Step[];
  total: number;
  quantity: string;
}

interface Bar extends Step {
  from: number;
  to: number;
}

const HEIGHT = 148;
const TOP = 14;
const BOTTOM = 20;
const LEFT = 48;

export function Waterfall({ steps, total, quantity }: WaterfallProps) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const bars = barsOf(steps, total);
  const { active, setActive, onKeyDown } = useReading(bars.length);
  const reach = bars.flatMap(({ from, to }) => [from, to]);
  const [low, high] = [Math.min(0, ...reach), Math.max(0, ...reach)];
  const y = (value: number) => TOP + ((high - value) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  const step = Math.min(40, (width - LEFT - 8) / Math.max(1, bars.length));
  const shown = active === null ? undefined : bars[active];
  const barAt = (x: number) => Math.max(0, Math.min(bars.length - 1, Math.floor((x - LEFT) / step)));
  const largest = Math.max(high, -low);
  const words = shown
    ? describe(shown, largest)
    : `${bars.length - 1} steps, total ${signed(total, largest)}`;
  return (
    <div ref={box}>
      <div
        class="hs-waterfall hs-focusable"
        data-hs="waterfall"
        role="slider"
        tabIndex={0}
        aria-label={`${quantity} by layer`}
        aria-valuemin={0}
        aria-valuemax={bars.length - 1}
        aria-valuenow={active ?? bars.length - 1}
        aria-valuetext={words}
        onKeyDown={onKeyDown}
        onPointerMove={(event) => {
          const { left } = event.currentTarget.getBoundingClientRect();
          setActive(barAt(event.clientX - left));
        }}
        onPointerLeave={() => setActive(null)}
        onBlur={() => setActive(null)}
      >
        <svg width={width} height={HEIGHT} aria-hidden="true">
          <g class="hs-chart-ground">
            <line x1={LEFT} x2={LEFT + step * bars.length} y1={y(0)} y2={y(0)} />
            <text x={LEFT - 6} y={y(0) + 4} text-anchor="end">
              0
            </text>
            {[low, high]
              .filter((end) => Math.abs(y(end) - y(0)) > 12)
              .map((end) => (
                <text key={end} x={LEFT - 6} y={y(end) + 4} text-anchor="end">
                  {signed(end, largest)}
                </text>
              ))}
            <StepLabels bars={bars} step={step} />
          </g>
          {bars.map((bar, i) => (
            <OneBar key={bar.label} bar={bar} x={LEFT + i * step} width={step} y={y} active={i === active} />
          ))}
        </svg>
      </div>
      <p class="hs-detail-words" data-hs="step">
        {shown ? <b>{words}</b> : words}
      </p>
    </div>
  );
}

/** The last bar is the total; if the parts leave a remainder, such as folded constants, it shows as a gap. */
function barsOf(steps: Step[], total: number): Bar[] {
  let sum = 0;
  const bars = steps.map((step) => {
    const from = sum;
    sum += step.value;
    return { ...step, from, to: sum };
  });
  return [...bars, { label: "total", part: "bias", layer: -1, value: total, from: 0, to: total }];
}

function describe({ label, value, to }: Bar, largest: number): string {
  const said = `${label} ${signed(value, largest)}`;
  return label === "total" ? said : `${said}, then ${signed(to, largest)}`;
}

interface OneBarProps {
  bar: Bar;
  x: number;
  width: number;
  y(value: number): number;
  active: boolean;
}

function OneBar({ bar, x, width, y, active }: OneBarProps) {
  const [top, bottom] = [Math.min(y(bar.from), y(bar.to)), Math.max(y(bar.from), y(bar.to))];
  const gap = width > 8 ? 2 : 0.5;
  return (
    <g
      class={`hs-step hs-fill-${bar.value < 0 ? "corrupt" : "clean"}`}
      data-active={active}
      data-part={bar.part}
    >
      {bar.label !== "total" && <line x1={x} x2={x + 2 * width - gap} y1={y(bar.to)} y2={y(bar.to)} />}
      <rect x={x} y={top} width={Math.max(1, width - gap)} height={Math.max(1, bottom - top)} rx={1} />
    </g>
  );
}

/** A layer's number under its two bars, if there is room. */
function StepLabels({ bars, step }: { bars: Bar[]; step: number }) {
  const every = Math.max(1, Math.ceil(18 / (2 * step)));
  const words = step > 34;
  return (
    <>
      {bars.map(({ label, part, layer }, i) => {
        const layered = layer >= 0;
        if (layered && (part !== "attn" || layer % every !== 0)) return null;
        const x = LEFT + (i + (layered ? 1 : 0.5)) * step;
        if (!layered && !words) return null;
        return (
          <text key={label} x={x} y={HEIGHT - 5} text-anchor="middle">
            {layered ? layer : label}
          </text>
        );
      })}
    </>
  );
}
