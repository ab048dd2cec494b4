// Another metric of the same sweep, in a saved page.
import { expect, test } from "vitest";
import { maybe, part, settled } from "./helpers";
import { cellText, choose, withoutKernel } from "./shown_heatmap";
import { INFO, makePairs, makeSweep, withProbability } from "./sweeps";

const HEADS = withProbability(makeSweep(["layer", "head"], [4, 3]));
const BY_HEAD = { info: INFO, activation: "z", axes: ["layer", "head"], result: HEADS };

const warnings = (el: HTMLElement) =>
  [...el.querySelectorAll('[data-hs="warning"]')].map((warning) => warning.textContent);

test("another metric that was measured is shown without a kernel, by the effects that Python computed", async () => {
  const { el } = await withoutKernel({ ...BY_HEAD, value: { kind: "zero" } });
  expect(cellText(el, 7)).toBe("layer 2, head 1, recovers 0.07");
  choose(el, "metric", 1);
  await settled();
  expect(cellText(el, 7)).toBe("layer 2, head 1, recovers 0.25");
  expect(part(el, "legend").title).toBe("0 is the corrupt run (+0.1)");
  expect(part(el, "controls").textContent).toContain("zero");
  choose(el, "metric", 0);
  await settled();
  expect(cellText(el, 7)).toBe("layer 2, head 1, recovers 0.07");
});

test("each metric has its own pairs", async () => {
  const result = withProbability(makePairs());
  const { el } = await withoutKernel({ info: INFO, result, selection: { layer: 0, position: 5 } });
  expect(part(el, "detail-cell").textContent).toContain("2 of 3 pairs agree in sign");
  choose(el, "metric", 1);
  await settled();
  expect(cellText(el, 5)).toContain("recovers 0.25, 95% interval 0.20 to 0.30");
  expect(part(el, "detail-cell").textContent).toContain("3 of 3 pairs agree in sign");
  expect(el.querySelectorAll("circle")).toHaveLength(3);
});

test("what a cell was opened into is shown by the same metric", async () => {
  const opened = withProbability(makeSweep(["layer", "head", "position"], [1, 1, 6]));
  const { el } = await withoutKernel({ ...BY_HEAD, opened });
  choose(el, "metric", 1);
  await settled();
  expect(cellText(part(el, "opened"), 3)).toContain("recovers 0.25");
});

test("where no other metric has its effects none is offered", async () => {
  const measures = Object.fromEntries(
    Object.entries(HEADS.measures ?? {}).map(([name, { normalized: _, ...rest }]) => [name, rest]),
  );
  const { el } = await withoutKernel({ ...BY_HEAD, result: { ...HEADS, measures } });
  expect(maybe(el, "metric")).toBeNull();
  expect(part(el, "params").textContent).toContain("logit difference");
});

test("code is offered of the metric that it is of", async () => {
  const { el } = await withoutKernel({ ...BY_HEAD, code: "import interp_backend as ib" });
  expect(maybe(el, "copy-code")).not.toBeNull();
  choose(el, "metric", 1);
  await settled();
  expect(maybe(el, "copy-code")).toBeNull();
  choose(el, "metric", 0);
  await settled();
  expect(maybe(el, "copy-code")).not.toBeNull();
});

test("what is wrong with a metric is said with that metric", async () => {
  const { el } = await withoutKernel(BY_HEAD);
  const always = "Hooks of your own are on the model.";
  expect(warnings(el)).toEqual([always, "The answers are several tokens long."]);
  choose(el, "metric", 1);
  await settled();
  expect(warnings(el)).toEqual([always, "The probabilities are small."]);
  choose(el, "metric", 0);
  await settled();
  expect(warnings(el)).toEqual([always, "The answers are several tokens long."]);
});
