// The prompts that the lens shows, how their positions correspond, and the place in the model of each cell.
import { across, type Counterparts, indexIn, inverse, type Place } from "../../lib/place";
import type { ShownSide } from "../../lib/side_menu";
import type { Tone } from "../../lib/top_tokens";
import type { Lens, PairJson, ResultJson, Side } from "./result";

/** The prompts that are shown; the first gives the columns. */
export interface Shown {
  name: ShownSide;
  first: Side;
  /** The corrupt prompt in a difference. */
  second: Side | null;
  /** For each column, the corresponding position of the pair's other prompt, or null; null for a single prompt. */
  partners: Counterparts;
}

/** The requested side, or the only side of the result. */
export function shownSide(lens: Lens, name: ShownSide): Shown | null {
  const { prompt, clean, corrupt } = lens.sides;
  if (prompt) return { name: "prompt", first: prompt, second: null, partners: null };
  if (!clean || !corrupt) return null;
  const { counterparts } = lens.json;
  if (name === "corrupt") {
    const partners = inverse(counterparts) ?? corrupt.tokens.map((_, i) => (i < clean.positions ? i : null));
    return { name, first: corrupt, second: null, partners };
  }
  const partners = clean.tokens.map((_, i) => (counterparts ? (counterparts[i] ?? null) : i));
  const both = name === "difference";
  return { name: both ? name : "clean", first: clean, second: both ? corrupt : null, partners };
}

/** The sides of `shown` at one of its columns, each with its own position. */
export function readAt(shown: Shown, position: number): { side: Side; position: number }[] {
  const at = [{ side: shown.first, position }];
  const partner = shown.partners?.[position] ?? null;
  if (shown.second && partner !== null) at.push({ side: shown.second, position: partner });
  return at;
}

/** The tokens of a column; if the tokens of a pair differ, each has the colour of its side. */
export function columnTokens(
  lens: Lens,
  shown: Shown,
  position: number,
): { text: string; tone: Tone | null }[] {
  const { first, partners, name } = shown;
  const text = first.tokens[position] ?? "";
  if (name === "prompt") return [{ text, tone: null }];
  const tone: Tone = name === "corrupt" ? "corrupt" : "clean";
  const partner = partners?.[position] ?? null;
  const other = lens.sides[tone === "clean" ? "corrupt" : "clean"];
  const partnerText = partner === null ? null : (other?.tokens[partner] ?? null);
  if (partnerText === text) return [{ text, tone: null }];
  const own = { text, tone };
  return name === "difference" && partnerText !== null
    ? [own, { text: partnerText, tone: "corrupt" }]
    : [own];
}

export function isLoaded(shown: Shown, position: number): boolean {
  return readAt(shown, position).every(({ side, position: at }) => side.loaded[at] === 1);
}

/** Whether, in a difference, the position has no counterpart in the corrupt prompt. */
export function isAlone({ second, partners }: Shown, position: number): boolean {
  return second !== null && (partners?.[position] ?? null) === null;
}

export function tokenText(lens: Lens, id: number): string {
  return lens.tokens[id] ?? lens.json.targets.find((target) => target.id === id)?.text ?? `#${id}`;
}

/** Answers have the colours of their sides; other tokens have none. */
export function answerTone({ params }: ResultJson, token: string): Tone | null {
  if (isAnswer(params.pair, "clean", token)) return "clean";
  return isAnswer(params.pair, "corrupt", token) ? "corrupt" : null;
}

export function answersOf(pair: PairJson | null | undefined, side: Tone): string[] {
  const answer = pair?.[`${side}_answer`] ?? [];
  return (Array.isArray(answer) ? answer : [answer]).filter(Boolean);
}

function isAnswer(pair: PairJson | null | undefined, side: Tone, token: string): boolean {
  return answersOf(pair, side).includes(token);
}

/** A position in the whole prompt, not among the columns that are shown. */
export interface Cell {
  row: number;
  position: number;
}

/** Positions are counted in the prompt that gives the columns. */
export function placeOf(lens: Lens, shown: Shown, { row, position }: Cell): Place {
  const side = sideOf(shown);
  return { ...lens.json.places[row], position, ...(side && { side }) };
}

export function cellOf(lens: Lens, shown: Shown, place: Place | null): Cell | null {
  if (!place) return null;
  const side = sideOf(shown);
  const { counterparts } = lens.json;
  const converted = across(place, side, side === "corrupt" ? counterparts : inverse(counterparts));
  const position = indexIn(shown.first.positions, converted.position);
  const row = rowOf(lens, place);
  return position === null || row < 0 ? null : { row, position };
}

/** The row of the place's own activation, or else the row that the lens reads at its layer. */
function rowOf({ json }: Lens, { activation, layer }: Place): number {
  const inLayer = (name: string | undefined) =>
    json.places.findIndex((row) => row.layer === layer && row.activation === name);
  const rows = [inLayer(activation), inLayer(json.params.stream)];
  return rows.find((row) => row >= 0) ?? json.places.findIndex((row) => row.layer === layer);
}

function sideOf({ first }: Shown): Place["side"] {
  return first.name === "prompt" ? undefined : first.name;
}
