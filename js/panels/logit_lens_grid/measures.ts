// The measures that colour a cell: their values, their scales and their legends.
import { divergingScale, type Scale, sequentialScale } from "../../lib/color";
import { fixed } from "../../lib/format";
import type { LegendScale, LegendTick } from "../../lib/legend";
import type { Palette } from "../../lib/theme";
import { visibleText } from "../../lib/tokens";
import type { Lens, Side } from "./result";
import { isAlone, readAt, type Shown } from "./sides";

export type Measure = "probability" | "entropy" | "rank" | "kl" | "target";

/** A measure with its followed token and its scale. */
export interface Scaled {
  measure: Measure;
  target: number;
  low: number;
  high: number;
  /** Whether the scale diverges from zero. */
  diverging: boolean;
}

/** Ranks are coloured by their negative log10: 0 for the likeliest token, and 1 less for each factor of ten. */
const logRank = (rank: number): number => -Math.log10(rank + 1);

export function needsTarget(measure: Measure): boolean {
  return measure === "rank" || measure === "target";
}

export function measured(side: Side, measure: Measure, target: number, cell: number): number {
  switch (measure) {
    case "entropy":
      return side.entropy[cell] ?? Number.NaN;
    case "kl":
      return side.kl_to_final[cell] ?? Number.NaN;
    case "rank":
      return logRank(side.target_rank[cell * side.t + target] ?? Number.NaN);
    case "target":
      return side.target_prob[cell * side.t + target] ?? Number.NaN;
    default:
      return side.top_probs[cell * side.k] ?? Number.NaN;
  }
}

/** A cell's value, or clean minus corrupt; NaN if it is not known. */
export function shownValue(shown: Shown, { measure, target }: Pick<Scaled, "measure" | "target">) {
  const { first, second, partners } = shown;
  return (row: number, position: number): number => {
    if (!first.loaded[position]) return Number.NaN;
    const value = measured(first, measure, target, row * first.positions + position);
    if (!second) return value;
    const partner = partners?.[position] ?? -1;
    if (!second.loaded[partner]) return Number.NaN;
    return value - measured(second, measure, target, row * second.positions + partner);
  };
}

/** The scale of a measure. For nats and ranks it extends to the largest value that has arrived. */
export function scaleOf(lens: Lens, shown: Shown, measure: Measure, target: number): Scaled {
  const diverging = shown.second !== null;
  const ends = (low: number, high: number): Scaled => ({ measure, target, low, high, diverging });
  if (measure === "probability" || measure === "target") return ends(diverging ? -1 : 0, 1);
  const value = shownValue(shown, { measure, target });
  let largest = 0;
  for (let row = 0; row < lens.rows; row++) {
    for (let position = 0; position < shown.first.positions; position++) {
      const size = Math.abs(value(row, position));
      if (size > largest) largest = size;
    }
  }
  const end = roundEnd(largest);
  if (diverging) return ends(-end, end);
  return measure === "rank" ? ends(-end, 0) : ends(0, end);
}

/** Rounds up to a whole number, a half or a tenth. */
export function roundEnd(largest: number): number {
  const parts = largest > 2 ? 1 : largest > 0.5 ? 2 : 10;
  return Math.max(0.1, Math.ceil(largest * parts) / parts);
}

/** Strong colours mean likely, certain, high in rank, or far from the last row. Low entropy means certain, so its scale
 *  is reversed. */
export function colorsOf({ measure, low, high, diverging }: Scaled, palette: Palette): Scale {
  if (diverging) return divergingScale(palette, high);
  return measure === "entropy" ? sequentialScale(palette, high, low) : sequentialScale(palette, low, high);
}

export function legendOf(lens: Lens, scaled: Scaled, palette: Palette): LegendScale & { help: string } {
  const { low, high } = scaled;
  const ticks = scaled.diverging ? differenceTicks(scaled) : ticksOf(scaled);
  const help = `Colour: ${colorWords(lens, scaled)}`;
  return { scale: colorsOf(scaled, palette), domain: high, low, ticks, help };
}

function ticksOf({ measure, low, high }: Scaled): LegendTick[] {
  switch (measure) {
    case "entropy":
      return [
        { value: 0, text: "0", word: "nats: sure" },
        { value: high, text: short(high), word: "nats" },
      ];
    case "kl":
      return [
        { value: high, text: short(high), word: "nats" },
        { value: 0, text: "0", word: "as at the end" },
      ];
    case "rank":
      return [
        { value: 0, text: "0", word: "likeliest" },
        { value: low, text: rankAt(low) },
        ...[-1, -2, -3, -4].filter((at) => at > low).map((at) => ({ value: at, text: rankAt(at) })),
      ];
    default:
      return [
        { value: 1, text: "1", word: "probability" },
        { value: 0, text: "0" },
        { value: 0.5, text: "0.5" },
      ];
  }
}

function differenceTicks({ measure, high }: Scaled): LegendTick[] {
  if (measure === "rank") {
    const times = `${short(10 ** high)}\u00d7`;
    return [
      { value: 0, text: "equal" },
      { value: high, text: times, word: "up in clean" },
      { value: -high, text: times, word: "in corrupt" },
    ];
  }
  const unit = measure === "entropy" || measure === "kl" ? "nats, clean" : "clean";
  return [
    { value: 0, text: "0" },
    { value: high, text: `+${short(high)}`, word: unit },
    { value: -high, text: `\u2212${short(high)}`, word: "corrupt" },
  ];
}

const rankAt = (value: number): string => short(10 ** -value - (value === 0 ? 1 : 0));

/** 5, 0.5, 10k */
export function short(value: number): string {
  if (value >= 10_000) return `${Math.round(value / 1000)}k`;
  return fixed(value, Number.isInteger(value) || value >= 10 ? 0 : 1);
}

/** The meaning of the colour, with its unit. */
export function colorWords(lens: Lens, { measure, target, diverging }: Scaled): string {
  const token = visibleText(lens.json.targets[target]?.text ?? "");
  const words = {
    probability: "probability of the likeliest token",
    entropy: diverging ? "entropy in nats" : "entropy in nats, strong where the lens is sure",
    kl: "KL divergence from the last row in nats",
    rank: diverging ? `rank of ${token}, in factors of ten` : `rank of ${token}, on a log scale`,
    target: `probability of ${token}`,
  }[measure];
  return diverging ? `clean \u2212 corrupt, ${words}` : words;
}

/** A cell's value in words; null if it has none. */
export function valueWords(shown: Shown, scaled: Scaled, row: number, position: number): string | null {
  if (isAlone(shown, position)) return "no counterpart";
  const value = shownValue(shown, scaled)(row, position);
  if (!Number.isFinite(value)) return null;
  const { measure, target, diverging } = scaled;
  const name = { probability: "probability", entropy: "entropy", kl: "KL", rank: "rank", target: "target" }[
    measure
  ];
  const unit = measure === "entropy" || measure === "kl" ? " nats" : "";
  if (measure === "rank") {
    const ranks = readAt(shown, position).map(({ side, position: at }) => {
      return side.target_rank[(row * side.positions + at) * side.t + target];
    });
    return `${name} ${ranks.join(" against ")}`;
  }
  return diverging ? `${name} differs by ${fixed(value)}${unit}` : `${name} ${fixed(value)}${unit}`;
}
