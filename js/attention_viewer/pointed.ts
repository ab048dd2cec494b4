// What the pointer or the keyboard is at, and what is locked. It changes with every move of the mouse, so it lives in
// a store that only what must change listens to.
import { useEffect, useState } from "preact/hooks";
import { select, type ViewModel } from "../lib/model";
import { Store } from "../lib/store";
import type { Attention } from "./result";

/** A head by its index; positions in the tokens of the side that is shown. */
export interface Place {
  head: number | null;
  destination: number | null;
  source: number | null;
}

export const NOWHERE: Place = { head: null, destination: null, source: null };

/** The mouse may move several times a frame: all that listens hears of it once. */
export class Pointed extends Store<Place> {
  #next = NOWHERE;
  #frame = 0;

  at(place: Partial<Place>): void {
    this.#next = { ...NOWHERE, ...place };
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (!samePlace(this.get(), this.#next)) this.set(this.#next);
    });
  }
}

export const usePointed = (): Pointed => useState(() => new Pointed(NOWHERE))[0];

export function samePlace(a: Place, b: Place): boolean {
  return a.head === b.head && a.destination === b.destination && a.source === b.source;
}

/** A part of the place that is pointed at: renders anew only when that changes. */
export function usePlace<Part>(pointed: Pointed, partOf: (place: Place) => Part): Part {
  const [part, setPart] = useState(() => partOf(pointed.get()));
  useEffect(() => pointed.subscribe(() => setPart(partOf(pointed.get()))), [pointed]);
  return part;
}

/** Calls `draw` now and whenever the pointer is elsewhere, without rendering anything anew. */
export function useDrawing(pointed: Pointed, draw: () => void, inputs: readonly unknown[]): void {
  useEffect(() => {
    draw();
    return pointed.subscribe(draw);
  }, [pointed, ...inputs]);
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
