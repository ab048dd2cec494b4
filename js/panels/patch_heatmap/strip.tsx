// One cell's effect in each pair of a data set: one dot per pair, with the mean and its interval below.
import { fixed } from "../../lib/format";
import { useReading } from "../../lib/keys";
import type { LegendTick } from "../../lib/legend";
import { useUniqueId } from "../../lib/unique_id";
import { intervalOf, legendTicks } from "./cells";
import type { Sweep } from "./result";
import { intervalWords, meanOf } from "./words";

interface Effect {
  pair: number;
  label: string;
  value: number;
}

interface Dot extends Effect {
  /** How many dots lie under it. */
  level: number;
}

interface Span {
  from: number;
  to: number;
}

const HEIGHT = 84;
/** Dots are stacked above this line; the mean and its interval are below it. */
const GROUND = 54;
const STEP = 8;
/** The width of a dot as a share of the strip's width. */
const DOT = 0.02;

export function PairStrip({ sweep, cell }: { sweep: Sweep; cell: number }) {
  const id = useUniqueId();
  const effects = effectsOf(sweep, cell);
  const span = spanOf(sweep, effects);
  const dots = dotsOf(effects, span);
  const at = (value: number) => `${share(span, value) * 100}%`;
  const step = Math.min(STEP, (GROUND - 10) / Math.max(1, ...dots.map((dot) => dot.level)));
  const { active, setActive, onKeyDown } = useReading(dots.length);
  const shown = active === null ? undefined : dots[active];
  if (dots.length === 0) return null;
  return (
    <div class="hs-pairs" data-hs="pairs">
      <div
        class="hs-strip hs-focusable"
        role="listbox"
        tabIndex={0}
        data-hs="strip"
        aria-label={`Effect in each pair; ${meanOf(sweep)}: ${fixed(sweep.normalized[cell])}, ${intervalWords(sweep, cell)}`}
        aria-activedescendant={shown && `${id}-${shown.pair}`}
        onKeyDown={onKeyDown}
        onBlur={() => setActive(null)}
        onPointerLeave={() => setActive(null)}
      >
        <svg width="100%" height={HEIGHT} aria-hidden="true">
          {ticksOf(sweep).map(({ value, word }) => (
            <g key={value} class="hs-strip-tick">
              <line x1={at(value)} x2={at(value)} y1="4" y2={GROUND + 12} />
              <text x={at(value)} y={HEIGHT - 2} text-anchor={anchorOf(share(span, value))}>
                {`${fixed(value, 0)} ${word ?? ""}`}
              </text>
            </g>
          ))}
          {dots.map(({ pair, value, level }, i) => (
            <circle
              key={pair}
              class={`hs-dot hs-dot-${toneOf(value)}`}
              data-active={i === active}
              data-pair={pair}
              cx={at(value)}
              cy={GROUND - 5 - level * step}
              r={i === active ? 5 : 3.5}
              onPointerEnter={() => setActive(i)}
            />
          ))}
          <Mean sweep={sweep} cell={cell} at={at} />
        </svg>
        <div class="hs-sr">
          {dots.map(({ pair, label, value }, i) => (
            // biome-ignore lint/a11y: focus stays on the list, which names the active option
            <span key={pair} role="option" id={`${id}-${pair}`} aria-selected={i === active}>
              {`${label}: ${fixed(value)}`}
            </span>
          ))}
        </div>
      </div>
      <p class="hs-detail-words hs-cut" data-hs="pair">
        {shown ? (
          <>
            <b>{fixed(shown.value)}</b> {shown.label}
          </>
        ) : (
          "one dot per pair; hover or use the arrow keys to read one"
        )}
      </p>
    </div>
  );
}

function Mean({ sweep, cell, at }: { sweep: Sweep; cell: number; at(value: number): string }) {
  const [low, high] = intervalOf(sweep, cell);
  const mean = at(sweep.normalized[cell] ?? 0);
  const y = GROUND + 7;
  return (
    <g class="hs-strip-mean" data-hs="mean">
      {Number.isFinite(low + high) && <line x1={at(low)} x2={at(high)} y1={y} y2={y} />}
      <line class="hs-strip-middle" x1={mean} x2={mean} y1={y - 5} y2={y + 5} />
    </g>
  );
}

/** The effects of the finished pairs that have this cell, in ascending order. */
function effectsOf({ pairs, state }: Sweep, cell: number): Effect[] {
  return (pairs?.labels ?? [])
    .map((label, pair) => ({
      pair,
      label,
      value: pairs?.normalized[pair * state.length + cell] ?? Number.NaN,
    }))
    .filter((effect) => Number.isFinite(effect.value))
    .sort((a, b) => a.value - b.value);
}

/** Dots that would overlap are stacked. */
function dotsOf(effects: Effect[], span: Span): Dot[] {
  /** The position of the last dot on each level. */
  const levels: number[] = [];
  return effects.map((effect) => {
    const x = share(span, effect.value);
    const free = levels.findIndex((last) => x - last >= DOT);
    const level = free < 0 ? levels.length : free;
    levels[level] = x;
    return { ...effect, level };
  });
}

function spanOf(sweep: Sweep, effects: Effect[]): Span {
  const known = [...effects, ...ticksOf(sweep)].map(({ value }) => value);
  return { from: Math.min(...known), to: Math.max(...known) };
}

/** The ticks at the values of the two runs. */
function ticksOf(sweep: Sweep): LegendTick[] {
  return legendTicks(sweep, { raw: false, limit: null }).filter((tick) => tick.word);
}

/** The position along the strip, with room for half a dot at each end. */
function share({ from, to }: Span, value: number): number {
  return DOT + ((1 - 2 * DOT) * (value - from)) / (to - from);
}

/** Keeps labels at the ends inside the strip. */
function anchorOf(along: number): string {
  if (along > 0.9) return "end";
  return along < 0.1 ? "start" : "middle";
}

function toneOf(value: number): string {
  if (value === 0) return "none";
  return value > 0 ? "clean" : "corrupt";
}
