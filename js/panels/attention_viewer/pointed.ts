// What the pointer or the keyboard is at, and what is locked. It changes with every move of the mouse, so it lives in
// a store to which only those parts of the view listen that must change.
import { useEffect, useState } from "preact/hooks";
import { across, indexIn, inverse, type Place, type Side } from "../../lib/place";
import { Store } from "../../lib/store";
import type { Attention, SideName } from "./result";

/** A head by its index, the position that looks, and the position that is looked at, in the tokens of the side that is
 *  shown. */
export interface Cell {
  head: number | null;
  position: number | null;
  source: number | null;
}

export const NOWHERE: Cell = { head: null, position: null, source: null };

/** The mouse may move several times a frame: listeners hear of it once. What is moved over a matrix hears of it in
 *  every frame; the numbers that are read out and the text take longer, and hear of it in turn, in every second
 *  frame. */
export class Pointed extends Store<Cell> {
  readonly numbers = new Store<Cell>(NOWHERE);
  readonly text = new Store<Cell>(NOWHERE);
  #next = NOWHERE;
  #frame = 0;
  #turn = [this.text, this.numbers];

  at(place: Partial<Cell>): void {
    const next = { ...NOWHERE, ...place };
    if (sameCell(next, this.#next)) return;
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

export function sameCell(a: Cell, b: Cell): boolean {
  return a.head === b.head && a.position === b.position && a.source === b.source;
}

/** A part of the cell that is pointed at: renders again only when that part changes. */
export function useCell<Part>(place: Store<Cell>, partOf: (place: Cell) => Part): Part {
  const [part, setPart] = useState(() => partOf(place.get()));
  useEffect(() => {
    const take = () => setPart(partOf(place.get()));
    take(); // it may have changed between the render and this effect
    return place.subscribe(take);
  }, [place]);
  return part;
}

/** Calls `draw` now and whenever the pointer has moved to another cell, without rendering anything again. */
export function useDrawing(place: Store<Cell>, draw: () => void, inputs: readonly unknown[]): void {
  useEffect(() => {
    draw();
    return place.subscribe(draw);
  }, [place, ...inputs]);
}

/** The cell of a place. Parts of the place that the result does not have are null. */
export function cellOf(attention: Attention, name: SideName, place: Place | null): Cell {
  const side = sideOf(name);
  const { counterparts } = attention.json;
  const there = across(place ?? {}, side, side === "corrupt" ? counterparts : inverse(counterparts));
  const { layer = -1, head = -1, position, source } = there;
  const index = attention.indexOf(layer, head);
  const n = attention.tokensOf(name).length;
  return { head: index < 0 ? null : index, position: indexIn(n, position), source: indexIn(n, source) };
}

/** The inverse of cellOf. */
export function placeOf(
  attention: Attention,
  name: SideName,
  { head, position, source }: Cell,
): Place | null {
  const place: Place = {};
  const side = sideOf(name);
  if (head !== null) [place.layer, place.head] = attention.headAt(head);
  if (position !== null) place.position = position;
  if (source !== null) place.source = source;
  if (side && (position !== null || source !== null)) place.side = side;
  return Object.keys(place).length > 0 ? place : null;
}

/** In a difference positions are those of the clean prompt. */
function sideOf(name: SideName): Side | undefined {
  if (name === "prompt") return undefined;
  return name === "corrupt" ? "corrupt" : "clean";
}
