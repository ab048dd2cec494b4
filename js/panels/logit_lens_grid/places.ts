// Which place in the model a cell of the lens is, and which cell shows a place.
import { across, indexIn, inverse, type Place, type Side } from "../../lib/place";
import type { Lens } from "./result";
import type { Shown } from "./sides";

/** In the whole prompt, not among the columns that are shown. */
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
  const there = across(place, side, side === "corrupt" ? counterparts : inverse(counterparts));
  const position = indexIn(shown.first.positions, there.position);
  const row = rowOf(lens, place);
  return position === null || row < 0 ? null : { row, position };
}

/** The row of the place's own activation, else what the lens reads at its layer. */
function rowOf({ json }: Lens, { activation, layer }: Place): number {
  const inLayer = (name: string | undefined) =>
    json.places.findIndex((row) => row.layer === layer && row.activation === name);
  const rows = [inLayer(activation), inLayer(json.params.stream)];
  return rows.find((row) => row >= 0) ?? json.places.findIndex((row) => row.layer === layer);
}

function sideOf({ first }: Shown): Side | undefined {
  return first.name === "prompt" ? undefined : first.name;
}
