// The cell under the pointer or the keyboard cursor, and the locked cell. They change with every mouse move, so they are
// in a store, and only the parts of the view that depend on them listen to it.
import { useEffect, useState } from "preact/hooks";
import { across, indexIn, inverse, type Place, type Side } from "../../lib/place";
import { Store } from "../../lib/store";
import type { Attention, SideName } from "./result";

/** A head by its index, the position that attends (destination), and the position that it attends to (source), both
 *  counted in the tokens of the side that is shown. */
export interface Cell {
  head: number | null;
  position: number | null;
  source: number | null;
}

export const NOWHERE: Cell = { head: null, position: null, source: null };

/** The mouse may move several times in a frame, and listeners are called once. Cross hairs are updated in every frame.
 *  The read-outs and the text take longer, so they take turns and are updated in every second frame. */
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

/** A part of the hovered cell. The component renders again only when that part changes. */
export function useCell<Part>(place: Store<Cell>, partOf: (place: Cell) => Part): Part {
  const [part, setPart] = useState(() => partOf(place.get()));
  useEffect(() => {
    const take = () => setPart(partOf(place.get()));
    take(); // the cell may have changed between the render and this effect
    return place.subscribe(take);
  }, [place]);
  return part;
}

/** Calls `draw` now and whenever the pointer has moved to another cell, without rendering a component. */
export function useDrawing(place: Store<Cell>, draw: () => void, inputs: readonly unknown[]): void {
  useEffect(() => {
    draw();
    return place.subscribe(draw);
  }, [place, ...inputs]);
}

/** The cell of a place. Parts that the result does not have are null. */
export function cellOf(attention: Attention, name: SideName, place: Place | null): Cell {
  const side = sideOf(name);
  const { counterparts } = attention.json;
  const converted = across(place ?? {}, side, side === "corrupt" ? counterparts : inverse(counterparts));
  const { layer = -1, head = -1, position, source } = converted;
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
