// Which prompts a view of the lens is of, and how their positions correspond.
import type { Tone } from "../../lib/top_tokens";
import type { Lens, PairJson, ResultJson, ShownSide, Side } from "./result";

/** The prompts that are read at a place, the one that gives the columns first. */
export interface Shown {
  name: ShownSide;
  first: Side;
  /** In a difference the corrupt prompt. */
  second: Side | null;
  /** For each column the position of the other prompt of a pair; null where there is none. */
  partners: (number | null)[] | null;
}

/** The side that is asked for, or the one that there is. */
export function shownSide(lens: Lens, name: ShownSide): Shown | null {
  const { prompt, clean, corrupt } = lens.sides;
  if (prompt) return { name: "prompt", first: prompt, second: null, partners: null };
  if (!clean || !corrupt) return null;
  const { counterparts } = lens.json;
  if (name === "corrupt") {
    return { name, first: corrupt, second: null, partners: inverse(counterparts, clean, corrupt) };
  }
  const partners = clean.tokens.map((_, i) => (counterparts ? (counterparts[i] ?? null) : i));
  const both = name === "difference";
  return { name: both ? name : "clean", first: clean, second: both ? corrupt : null, partners };
}

function inverse(counterparts: (number | null)[] | null, clean: Side, corrupt: Side): (number | null)[] {
  if (!counterparts) return corrupt.tokens.map((_, i) => (i < clean.positions ? i : null));
  const partners: (number | null)[] = corrupt.tokens.map(() => null);
  for (const [from, to] of counterparts.entries()) if (to !== null) partners[to] = from;
  return partners;
}

/** The sides of `shown` at one of its columns, each with its own position. */
export function readAt(shown: Shown, position: number): { side: Side; position: number }[] {
  const at = [{ side: shown.first, position }];
  const partner = shown.partners?.[position] ?? null;
  if (shown.second && partner !== null) at.push({ side: shown.second, position: partner });
  return at;
}

/** The tokens of a column; where those of a pair differ each in its side's colour. */
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

/** In a difference: no token of the corrupt prompt corresponds. */
export function isAlone({ second, partners }: Shown, position: number): boolean {
  return second !== null && (partners?.[position] ?? null) === null;
}

export function tokenText(lens: Lens, id: number): string {
  return lens.tokens[id] ?? lens.json.targets.find((target) => target.id === id)?.text ?? `#${id}`;
}

/** Answers keep the colours of their sides; no other token has one. */
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
