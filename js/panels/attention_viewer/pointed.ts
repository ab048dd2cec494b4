// What the pointer or the keyboard is at, and what is locked. It changes with every move of the mouse, so it lives in
// a store that only what must change listens to.
import { useEffect, useState } from "preact/hooks";
import { select, type ViewModel } from "../../lib/model";
import { Store } from "../../lib/store";
import type { Attention } from "./result";

/** A head by its index; positions in the tokens of the side that is shown. */
export interface Place {
  head: number | null;
  destination: number | null;
  source: number | null;
}

export const NOWHERE: Place = { head: null, destination: null, source: null };

/** The mouse may move several times a frame: all that listens hears of it once. What is moved over a matrix hears of it in
 *  every frame; what takes longer, the numbers read out and the text, in turn in every second one. */
export class Pointed extends Store<Place> {
  readonly numbers = new Store<Place>(NOWHERE);
  readonly text = new Store<Place>(NOWHERE);
  #next = NOWHERE;
  #frame = 0;
  #turn = [this.text, this.numbers];

  at(place: Partial<Place>): void {
    const next = { ...NOWHERE, ...place };
    if (samePlace(next, this.#next)) return;
    this.#next = next;
    this.#frame ||= requestAnimationFrame(() => this.#tell());
  }

  #tell(): void {
    this.#frame = 0;
    this.set(this.#next);
    this.#turn.reverse();
    this.#turn[0]?.set(this.#next);
    if (this.#turn[1]?.get() !== this.#next) this.#frame = requestAnimationFrame(() => this.#tell());
  }
}

export const usePointed = (): Pointed => useState(() => new Pointed(NOWHERE))[0];

export function samePlace(a: Place, b: Place): boolean {
  return a.head === b.head && a.destination === b.destination && a.source === b.source;
}

/** A part of the place that is pointed at: renders anew only when that changes. */
export function usePlace<Part>(place: Store<Place>, partOf: (place: Place) => Part): Part {
  const [part, setPart] = useState(() => partOf(place.get()));
  useEffect(() => {
    const take = () => setPart(partOf(place.get()));
    take(); // it may have changed between the render and this effect
    return place.subscribe(take);
  }, [place]);
  return part;
}

/** Calls `draw` now and whenever the pointer is elsewhere, without rendering anything anew. */
export function useDrawing(place: Store<Place>, draw: () => void, inputs: readonly unknown[]): void {
  useEffect(() => {
    draw();
    return place.subscribe(draw);
  }, [place, ...inputs]);
}

/** What the selection says of this result; the parts that it has no place for are left out. */
export function lockedPlace(selection: unknown, attention: Attention, tokens: number): Place {
  const { layer, head, destination, source } = (selection ?? {}) as Record<string, unknown>;
  const index = typeof layer === "number" && typeof head === "number" ? attention.indexOf(layer, head) : -1;
  const position = (at: unknown) =>
    Number.isInteger(at) && Number(at) >= 0 && Number(at) < tokens ? Number(at) : null;
  return { head: index < 0 ? null : index, destination: position(destination), source: position(source) };
}

/** The inverse of lockedPlace. */
export function lock(model: ViewModel, attention: Attention, { head, destination, source }: Place): void {
  const selection: Record<string, number> = {};
  if (head !== null) [selection.layer, selection.head] = attention.headAt(head);
  if (destination !== null) selection.destination = destination;
  if (source !== null) selection.source = source;
  select(model, Object.keys(selection).length > 0 ? selection : null);
}
