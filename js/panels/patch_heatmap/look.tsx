// How the map's numbers are shown: the effects or the metric's own values, and the range of the colours. Both are traits
// that several maps can share, so that their colours can be compared.
import { useMemo } from "preact/hooks";
import { type Choice, NameMenu } from "../../lib/controls";
import { SmallField, takeNumber } from "../../lib/fields";
import { trait, useTrait, type ViewModel, write } from "../../lib/model";
import { type Look, lookOf, type Units } from "./cells";
import type { Sweep } from "./result";

const UNITS: (Choice & { name: Units })[] = [
  { name: "normalized", label: "normalised", help: "0 is no effect, 1 the difference between the two runs" },
  { name: "raw", label: "raw values", help: "the metric of each patched run, in its own unit" },
];

export const unitsOf = (model: ViewModel): Units => trait<Units | undefined>(model, "units") ?? "normalized";
export const limitOf = (model: ViewModel): number | null =>
  trait<number | null | undefined>(model, "color_limit") ?? null;

export function useLook(model: ViewModel, sweep: Sweep, revision: unknown): Look {
  useTrait(model, "units");
  useTrait(model, "color_limit");
  const [units, limit] = [unitsOf(model), limitOf(model)];
  return useMemo(() => lookOf(sweep, units, limit), [sweep, revision, units, limit]);
}

export function UnitsMenu({ model }: { model: ViewModel }) {
  useTrait(model, "units");
  return (
    <NameMenu
      name="units"
      label="Numbers in the cells"
      choices={UNITS}
      value={unitsOf(model)}
      onChoose={(units) => write(model, "units", units)}
    />
  );
}

export function LimitField({ model }: { model: ViewModel }) {
  useTrait(model, "color_limit");
  const limit = limitOf(model);
  const takeLimit = takeNumber(
    (number) => number > 0 && Number.isFinite(number),
    "The colour range must be a number above 0, or empty.",
    (number) => write(model, "color_limit", number),
  );
  return (
    <SmallField
      name="color-limit"
      label="colours to ±"
      help="The effect at the ends of the colour scale. Maps with the same number can be compared; empty follows the effects."
      value={limit === null ? "" : String(limit)}
      placeholder="auto"
      size={5}
      take={(text) => {
        if (text.trim() !== "") return takeLimit(text);
        write(model, "color_limit", null);
        return null;
      }}
    />
  );
}
