// Less than a whole sweep: the picked layers and positions, and less of a sweep that takes long.
import { expect, test } from "vitest";
import { lessOf, narrowerTo, spans } from "../../js/panels/patch_heatmap/narrow";
import { decodeResult } from "../../js/panels/patch_heatmap/result";
import { maybe, part, settled } from "./helpers";
import { clickCell, show } from "./shown_heatmap";
import { makeSweep, numbers } from "./sweeps";

const RESULT = makeSweep(["layer", "position"], [6, 6]);

test("the sweep can be narrowed to the picked layers and positions, and widened again", async () => {
  const { el, model, sent } = await show({ result: RESULT });
  clickCell(el, 2 * 6 + 4, { shiftKey: true });
  await settled();
  expect(maybe(el, "only-these")).toBeNull();
  clickCell(el, 3 * 6 + 5, { shiftKey: true });
  await settled();
  const button = part(el, "only-these");
  expect(button.textContent).toBe("Only these layers and positions");
  button.click();
  expect(sent.at(-1)).toMatchObject({ method: "restrict", params: { layers: [2, 3], positions: [4, 5] } });
  model.set("narrowed", { layers: [2, 3], positions: [4, 5] });
  await settled();
  expect(part(el, "narrowed").textContent).toBe("Only layers 2\u20133, positions 4\u20135. Sweep all");
  part(el, "sweep-all").click();
  expect(sent.at(-1)).toMatchObject({ method: "restrict", params: {} });
});

test("an axis that is picked as a whole, and positions with a name of their own, are not narrowed", () => {
  const sweep = decodeResult(RESULT);
  expect(narrowerTo(sweep, numbers(6).map(Number))?.parts).toEqual({ layers: [0] });
  expect(narrowerTo(sweep, numbers(36).map(Number))).toBeNull();
  const named = { ...RESULT, places: { ...RESULT.places, position: [[0, 1], [2], [3], [4], [5], [-1]] } };
  expect(narrowerTo(decodeResult(named), [0, 7])?.parts).toEqual({ layers: [0, 1] });
});

test("numbers are said as spans", () => {
  expect(spans([0, 4, 5, 6, 12])).toBe("0, 4\u20136, 12");
});

test("a long sweep says how long it takes, from its own cells, and offers less", async () => {
  const progress = { done: 40, total: 36_000, seconds_left: 4620 };
  const { el, model, sent } = await show({ result: RESULT, status: "running", progress });
  expect(part(el, "time-left").textContent).toContain(
    "About 77 min left at the speed of the first 40 cells.",
  );
  expect(part(el, "every-layer").textContent).toBe("every 4th layer, about 26 min");
  part(el, "every-layer").click();
  expect(sent.at(-1)).toMatchObject({ method: "restrict", params: { layers: [3, 5] } });
  model.set("progress", { ...progress, seconds_left: 50 });
  await settled();
  expect(maybe(el, "time-left")).toBeNull();
});

test("where few tokens differ, they and the last can be swept alone", () => {
  const less = lessOf(decodeResult(RESULT)).find(({ name }) => name === "differing");
  expect(less).toMatchObject({ parts: { positions: [4, 5] }, share: 2 / 6 });
});
