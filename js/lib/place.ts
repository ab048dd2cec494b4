// Places in a model, in the vocabulary of interp_backend/place.py, which results, selections and views share.
import type { Place } from "../wire/requests";

/** A missing part is unrestricted: `{layer: 3}` is all of layer 3. */
export type { Place };
export type Side = NonNullable<Place["side"]>;
/** A negative position counts from the prompt's end; several positions are a named set. */
export type Positions = NonNullable<Place["position"]>;

/** For each position of one prompt, its counterpart in the other prompt of the pair; null if every position
 *  corresponds to itself. */
export type Counterparts = readonly (number | null)[] | null;

/** The same place with only these parts, for a view that lacks the others. */
export function within(place: Place, parts: readonly (keyof Place)[]): Place {
  return Object.fromEntries(Object.entries(place).filter(([part]) => parts.includes(part as keyof Place)));
}

/** The corresponding place in the other prompt of a pair. A position without a counterpart is left out; a place that
 *  is on `side` already, or on no side, stays as it is. `counterparts` are those of the positions of the place's
 *  prompt. */
export function across(place: Place, side: Side | undefined, counterparts: Counterparts): Place {
  if (!place.side || !side || place.side === side) return place;
  const { position, source, ...rest } = place;
  const moved = Object.entries({ position, source }).map(([part, at]) => [part, crossed(at, counterparts)]);
  return { ...rest, ...Object.fromEntries(moved.filter(([, at]) => at !== undefined)), side };
}

/** The counterparts of the other prompt's positions in this one. */
export function inverse(counterparts: Counterparts): Counterparts {
  if (!counterparts) return null;
  const back: (number | null)[] = [];
  for (const [from, to] of counterparts.entries()) if (to !== null) back[to] = from;
  return Array.from(back, (from) => from ?? null);
}

/** Whether both places have the same parts with the same values; null is no place. */
export function samePlace(a: Place | null, b: Place | null): boolean {
  return textOf(a) === textOf(b);
}

/** The index of a position in a prompt of `n` tokens; null if it is not a single position of that prompt. */
export function indexIn(n: number, at: Positions | undefined): number | null {
  if (typeof at !== "number" || !Number.isInteger(at) || at < -n || at >= n) return null;
  return at < 0 ? n + at : at;
}

function crossed(at: Positions | undefined, counterparts: Counterparts): Positions | undefined {
  if (!counterparts || at === undefined) return at;
  if (typeof at === "number") return counterparts.at(at) ?? undefined;
  const there = at.map((one) => counterparts.at(one) ?? null).filter((one) => one !== null);
  return there.length > 0 ? there : undefined;
}

function textOf(place: Place | null): string {
  return JSON.stringify(
    place &&
      Object.entries(place)
        .filter(([, part]) => part !== undefined)
        .sort(),
  );
}
