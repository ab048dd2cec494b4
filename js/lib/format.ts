// Formats numbers for readers: true minus signs and a fixed number of decimals.

const MINUS = "\u2212";

export function fixed(value: number | null | undefined, decimals = 2): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
  const text = Math.abs(value).toFixed(decimals);
  const negative = value < 0 && Number(text) !== 0;
  return negative ? MINUS + text : text;
}

export function signed(value: number | null | undefined): string {
  const text = fixed(value);
  return /^\d/.test(text) && Number(text) !== 0 ? `+${text}` : text;
}

/** A metric's raw value: a difference gets a sign, and a rank no decimals. */
export function metricValue(metric: string | null, value: number | null | undefined): string {
  if (metric === "logit_diff") return signed(value);
  return fixed(value, metric === "rank" ? 0 : 2);
}

export function seconds(value: number): string {
  if (value < 0.05) return "under 0.1 s";
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 90) return `${Math.round(value)} s`;
  return `${Math.round(value / 60)} min`;
}

export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** The shortest decimal that identifies this float32. */
export function shortest(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return String(short);
  }
  return String(Number(value.toPrecision(9)));
}

/** A number's text with a true minus sign. */
export const withMinus = (text: string): string => text.replaceAll("-", MINUS);
