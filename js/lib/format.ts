// Formats numbers for readers: true minus signs and a fixed number of decimals.

const MINUS = "\u2212";
const MANY_DECIMALS = 5;
/** From here on a number is written with a power of ten. */
const LARGE = 1e7;

export function fixed(value: number | null | undefined, decimals = 2): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
  const size = Math.abs(value);
  const text = size < LARGE ? size.toFixed(decimals) : size.toExponential(2).replace("+", "");
  const negative = value < 0 && Number(text) !== 0;
  return negative ? MINUS + text : text;
}

/** A number with its sign, among others up to `largest`. */
export function signed(value: number | null | undefined, largest = 1): string {
  const text = among(largest, value);
  return /^\d/.test(text) && Number(text) !== 0 ? `+${text}` : text;
}

/** The decimals that numbers up to `largest` need: two, or more if the largest would otherwise have few digits. */
export function decimalsFor(largest: number): number {
  if (!(largest > 0) || !Number.isFinite(largest)) return 2;
  return Math.max(largest < 100 ? 2 : 1, 1 - Math.floor(Math.log10(largest)));
}

/** A number among others up to `largest`; what would need many zeros is written with a power of ten. */
export function among(largest: number, value: number | null | undefined): string {
  const decimals = decimalsFor(largest);
  if (decimals <= MANY_DECIMALS || !value || !Number.isFinite(value)) return fixed(value, decimals);
  return withMinus(value.toExponential(1));
}

/** A metric's raw value: a difference gets a sign, and a rank no decimals. A small value keeps two digits. */
export function metricValue(metric: string | null, value: number | null | undefined): string {
  if (metric === "rank") return fixed(value, 0);
  const small = value && Math.abs(value) < 0.01;
  const text = small ? among(Math.abs(value), value) : fixed(value);
  return metric === "logit_diff" && value && value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

export function seconds(value: number): string {
  if (value < 0.05) return "under 0.1 s";
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 90) return `${Math.round(value)} s`;
  if (value < 5400) return `${Math.round(value / 60)} min`;
  return `${(value / 3600).toFixed(1)} h`;
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

/** A part of something as a percentage with its sign. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return "\u2013";
  const text = fixed(100 * share, Math.abs(share) < 0.0995 ? 1 : 0);
  return `${share > 0 && !/^[\u22120.]*$/.test(text) ? "+" : ""}${text}%`;
}
