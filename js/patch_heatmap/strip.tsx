// One cell's effect in each pair of a data set: a dot a pair, with their mean and its interval under them.
import { useState } from "preact/hooks";
import { fixed } from "../lib/format";
import type { LegendTick } from "../lib/legend";
import { useUniqueId } from "../lib/unique_id";
import { legendTicks } from "./cells";
import type { Sweep } from "./result";
import { intervalWords, meanOf } from "./words";

interface Dot {
  pair: number;
  label: string;
  value: number;
  /** How many dots lie under it. */
  level: number;
}

interface Span {
  from: number;
  to: number;
}

const HEIGHT = 84;
/** Dots begin above this line; mean and interval are under it. */
const GROUND = 54;
const STEP = 8;
/** A dot's share of the strip's width. */
const DOT = 0.02;

export function PairStrip({ sweep, cell }: { sweep: Sweep; cell: number }) {
  const [active, setActive] = useState<number | null>(null);
  const id = useUniqueId();
  const span = spanOf(sweep, cell);
  const dots = dotsOf(sweep, cell, span);
  const at = (value: number) => `${share(span, value) * 100}%`;
  const step = Math.min(STEP, (GROUND - 10) / Math.max(1, ...dots.map((dot) => dot.level)));
  const shown = active === null ? undefined : dots[active];
  const onKeyDown = (event: KeyboardEvent) => {
    const next = {
      ArrowRight: (active ?? -1) + 1,
      ArrowLeft: (active ?? 1) - 1,
      Home: 0,
      End: dots.length - 1,
    };
    if (!(event.key in next) || event.ctrlKey || event.metaKey || event.altKey) return;
    setActive(Math.min(dots.length - 1, Math.max(0, next[event.key as keyof typeof next])));
    event.preventDefault();
    event.stopPropagation();
  };
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
      <p class="hs-strip-words" data-hs="pair">
        {shown ? (
          <>
            <b>{fixed(shown.value)}</b> {shown.label}
          </>
        ) : (
          "one dot a pair; hover over it, or use the arrow keys, to read it"
        )}
      </p>
    </div>
  );
}

function Mean({ sweep, cell, at }: { sweep: Sweep; cell: number; at(value: number): string }) {
  const [low, high] = [sweep.low?.[cell] ?? Number.NaN, sweep.high?.[cell] ?? Number.NaN];
  const mean = at(sweep.normalized[cell] ?? 0);
  const y = GROUND + 7;
  return (
    <g class="hs-strip-mean" data-hs="mean">
      {Number.isFinite(low + high) && <line x1={at(low)} x2={at(high)} y1={y} y2={y} />}
      <line class="hs-strip-middle" x1={mean} x2={mean} y1={y - 5} y2={y + 5} />
    </g>
  );
}

/** Pairs that are done, from the least to the largest effect, stacked where they would lie on each other. */
function dotsOf({ pairs, shape }: Sweep, cell: number, span: Span): Dot[] {
  if (!pairs || pairs.normalized.length === 0) return [];
  const cells = shape.reduce((product, n) => product * n, 1);
  /** Where each level's last dot is. */
  const levels: number[] = [];
  return pairs.labels
    .map((label, pair) => ({ pair, label, value: pairs.normalized[pair * cells + cell] ?? Number.NaN }))
    .filter((dot) => Number.isFinite(dot.value))
    .sort((a, b) => a.value - b.value)
    .map((dot) => {
      const x = share(span, dot.value);
      const free = levels.findIndex((last) => x - last >= DOT);
      const level = free < 0 ? levels.length : free;
      levels[level] = x;
      return { ...dot, level };
    });
}

function spanOf(sweep: Sweep, cell: number): Span {
  const { pairs, shape } = sweep;
  const cells = shape.reduce((product, n) => product * n, 1);
  const values = (pairs?.labels ?? []).map((_, pair) => pairs?.normalized[pair * cells + cell] ?? Number.NaN);
  const known = [...values.filter(Number.isFinite), ...ticksOf(sweep).map((tick) => tick.value)];
  return { from: Math.min(...known), to: Math.max(...known) };
}

/** The two runs. */
function ticksOf(sweep: Sweep): LegendTick[] {
  return legendTicks(sweep).filter((tick) => tick.word);
}

/** How far along the strip, with room for half a dot at its ends. */
function share({ from, to }: Span, value: number): number {
  return DOT + ((1 - 2 * DOT) * (value - from)) / (to - from);
}

/** Words at the ends of the strip stay inside it. */
function anchorOf(along: number): string {
  if (along > 0.9) return "end";
  return along < 0.1 ? "start" : "middle";
}

function toneOf(value: number): string {
  if (value === 0) return "none";
  return value > 0 ? "clean" : "corrupt";
}
