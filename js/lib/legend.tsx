// The legend of a colour scale: a vertical gradient. On a diverging scale, zero is in the middle.
import { type Scale, toCss } from "./color";
import { range } from "./range";

export interface LegendTick {
  value: number;
  text: string;
  /** Left out if there is little room. */
  word?: string | undefined;
}

export interface LegendScale {
  scale: Scale;
  /** The value at the top. */
  domain: number;
  /** The value at the bottom; left out if the scale is symmetric about zero. */
  low?: number;
  ticks: LegendTick[];
}

interface LegendProps extends LegendScale {
  height: number;
  /** The labels of the ends. */
  help: string;
}

const STEPS = 24;
const TICK_HEIGHT = 13;

/** The positions of the ticks, without those that would overlap an earlier tick in the list. */
export function placedTicks(
  { ticks, domain, low = -domain }: LegendScale,
  height: number,
): (LegendTick & { y: number })[] {
  const placed: (LegendTick & { y: number })[] = [];
  for (const tick of ticks) {
    const y = Math.min(height - 7, Math.max(7, ((domain - tick.value) / (domain - low)) * height));
    if (placed.every((other) => Math.abs(other.y - y) >= TICK_HEIGHT)) placed.push({ ...tick, y });
  }
  return placed;
}

/** The width of a legend (see grid.css) and of the gap before it, beside a grid in an area of this width. */
export function legendRoom(width: number): number {
  return (width > 488 ? 84 : 36) + 18 + 4;
}

export function Legend({ height, help, ...legend }: LegendProps) {
  const { scale, domain, low = -domain } = legend;
  const stops = range(STEPS + 1).map((i) => toCss(scale.fill(low + ((domain - low) * i) / STEPS)));
  return (
    <div class="hs-legend" data-hs="legend" title={help} style={{ height: `${height}px` }}>
      {help && <span class="hs-sr">{help}</span>}
      <span class="hs-legend-bar" style={{ background: `linear-gradient(to top, ${stops.join(",")})` }} />
      {placedTicks(legend, height).map(({ y, text, word }) => (
        <span key={text} class="hs-legend-tick" style={{ top: `${y}px` }}>
          {text}
          {word && <span class="hs-legend-word"> {word}</span>}
        </span>
      ))}
    </div>
  );
}
