// In place of d3-transition and d3-interpolate, which d3-zoom imports for zooming over time: nothing here moves by itself,
// and they would be three fifths of d3-zoom's code.
import { selection } from "d3-selection";

/** Stops no transition, since there is none. */
export function interrupt(): void {}
Object.assign(selection.prototype, {
  interrupt<T>(this: T): T {
    return this;
  },
});

/** Asked for only by transitions. */
export function interpolateZoom(): never {
  throw new Error("zooming over time is not part of this bundle");
}
