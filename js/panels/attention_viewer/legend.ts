// The legend: numbers if all rows share one scale, and shares if each row has its own.
import { withMinus } from "../../lib/format";
import type { LegendScale, LegendTick } from "../../lib/legend";
import type { Scene } from "./scene";

export function legendOf({ attention, scaling, colors }: Scene): LegendScale & { help: string } {
  const { quantity } = attention.json;
  const { signed } = scaling;
  return {
    scale: colors.scale,
    domain: 1,
    low: signed ? -1 : 0,
    ticks: ticksOf(scaling.name, scaling.high, -scaling.low, signed),
    help: `Colour: ${quantity}${scaling.own ? `, as a share of the largest of its ${scaling.name}` : ""}`,
  };
}

export function ticksOf(name: string, high: number, low: number, signed: boolean): LegendTick[] {
  const own = name === "row" || name === "head";
  const top = { value: 1, text: own ? "1" : brief(high), word: own ? `of ${name}` : undefined };
  const zero = { value: 0, text: name === "log" ? `\u2264 ${brief(high / 1e4)}` : "0" };
  const middle =
    name === "log" ? decades(high) : signed ? [] : [{ value: 0.5, text: brief(own ? 0.5 : high / 2) }];
  if (!signed) return [top, zero, ...middle];
  const bottom = { value: -1, text: `\u2212${brief(own ? 1 : low)}` };
  return [{ ...top, text: `+${top.text}` }, bottom, { value: 0, text: "0" }];
}

function decades(high: number): LegendTick[] {
  return [0.75, 0.5, 0.25].map((value) => ({ value, text: brief(high * 10 ** (4 * (value - 1))) }));
}

/** A number with three significant digits. */
export function brief(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return withMinus(size < 0.001 ? value.toExponential(0) : String(Number(value.toPrecision(3))));
}
