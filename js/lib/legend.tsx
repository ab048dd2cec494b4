// The key of a diverging scale: an upright gradient with zero in its middle.
import { type Scale, toCss } from "./color";

export interface LegendTick {
  value: number;
  text: string;
  /** Left out where there is little room. */
  word?: string | undefined;
}

interface LegendProps {
  scale: Scale;
  domain: number;
  ticks: LegendTick[];
  height: number;
}

const STEPS = 24;

export function Legend({ scale, domain, ticks, height }: LegendProps) {
  const stops = Array.from({ length: STEPS + 1 }, (_, i) =>
    toCss(scale.fill(domain * ((2 * i) / STEPS - 1))),
  );
  return (
    <div class="hs-legend" data-hs="legend" style={{ height: `${height}px` }}>
      <span class="hs-legend-bar" style={{ background: `linear-gradient(to top, ${stops.join(",")})` }} />
      {ticks.map(({ value, text, word }) => {
        const top = ((1 - value / domain) / 2) * height;
        const inside = Math.min(height - 7, Math.max(7, top));
        return (
          <span key={value} class="hs-legend-tick" style={{ top: `${inside}px` }}>
            {text}
            {word && <span class="hs-legend-word"> {word}</span>}
          </span>
        );
      })}
    </div>
  );
}
