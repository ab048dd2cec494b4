import fc from "fast-check";
import { expect, test } from "vitest";
import { across, indexIn, inverse, type Place, samePlace, within } from "../../js/lib/place";

const PARTS = ["activation", "layer", "head", "neuron", "feature", "position", "source", "side"] as const;
const number = fc.nat(11);
const positions = fc.oneof(number, fc.uniqueArray(number, { minLength: 1, maxLength: 3 }));
const place: fc.Arbitrary<Place> = fc.record(
  {
    activation: fc.constantFrom("resid_pre", "z"),
    layer: number,
    head: number,
    neuron: number,
    feature: number,
    position: positions,
    source: positions,
    side: fc.constantFrom("clean" as const, "corrupt" as const),
  },
  { requiredKeys: [] },
);
/** Links never cross, and some of the 12 clean positions have no counterpart. */
const counterparts = fc
  .array(fc.option(fc.integer({ min: 1, max: 3 })), { minLength: 12, maxLength: 12 })
  .map((steps) => {
    let at = -1;
    return steps.map((step) => {
      if (step !== null) at += step;
      return step === null ? null : at;
    });
  });

test("a projection keeps the parts that it has, and a second one changes nothing", () => {
  fc.assert(
    fc.property(place, fc.subarray([...PARTS]), (given, parts) => {
      const kept = within(given, parts);
      for (const part of PARTS) expect(kept[part]).toEqual(parts.includes(part) ? given[part] : undefined);
      expect(within(kept, parts)).toEqual(kept);
    }),
  );
});

test("a place that is on the side already, or on no side, stays as it is", () => {
  fc.assert(
    fc.property(place, counterparts, (given, there) => {
      expect(across(given, given.side, there)).toBe(given);
      expect(across(given, undefined, there)).toBe(given);
      const { side: _, ...single } = given;
      expect(across(single, "corrupt", there)).toBe(single);
    }),
  );
});

test("there and back is the same place, but for positions without a counterpart", () => {
  fc.assert(
    fc.property(place, counterparts, (given, there) => {
      const clean: Place = { ...given, side: "clean" };
      const back = across(across(clean, "corrupt", there), "clean", inverse(there));
      const known = (at: Place["position"]) => {
        if (at === undefined) return undefined;
        const kept = [at].flat().filter((one) => there[one as number] !== null);
        return kept.length === 0 ? undefined : typeof at === "number" ? at : kept;
      };
      const expected = { ...clean, position: known(given.position), source: known(given.source) };
      expect(samePlace(back, expected as Place)).toBe(true);
    }),
  );
});

test("crossing moves positions and the side alone", () => {
  fc.assert(
    fc.property(place, counterparts, (given, there) => {
      const rest = ["activation", "layer", "head", "neuron", "feature"] as const;
      const moved = across({ ...given, side: "clean" }, "corrupt", there);
      expect(within(moved, rest)).toEqual(within(given, rest));
      expect(moved.side).toBe("corrupt");
      const same = across({ ...given, side: "clean" }, "corrupt", null);
      expect(same).toEqual({ ...given, side: "corrupt" });
    }),
  );
});

test("positions from the end are crossed from the end", () => {
  expect(across({ position: -1, side: "clean" }, "corrupt", [0, 2, 5])).toEqual({
    position: 5,
    side: "corrupt",
  });
  expect(across({ position: 3, side: "clean" }, "corrupt", [0, 2, 5])).toEqual({ side: "corrupt" });
});

test("the same place is the same whatever the order of its parts; no place is another than any place", () => {
  fc.assert(
    fc.property(place, place, (a, b) => {
      const reversed = Object.fromEntries(Object.entries(a).reverse()) as Place;
      expect(samePlace(a, reversed)).toBe(true);
      expect(samePlace(a, b)).toBe(
        PARTS.every((part) => JSON.stringify(a[part]) === JSON.stringify(b[part])),
      );
    }),
  );
  expect(samePlace(null, {})).toBe(false);
  expect(samePlace(null, null)).toBe(true);
});

test("a position of a prompt counts from its start or from its end", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: -60, max: 60 }), (n, at) => {
      const index = indexIn(n, at);
      expect(index).toBe([...Array(n).keys()].at(at) === undefined ? null : (at + n) % n);
    }),
  );
  for (const at of [undefined, 1.5, [1, 2]]) expect(indexIn(6, at)).toBeNull();
});
