// Likely tokens that become answers, the tokens of a joint run, and what a picture says of its map.
import { expect, test } from "vitest";
import { decodeResult } from "../../js/panels/patch_heatmap/result";
import { captionOf } from "../../js/panels/patch_heatmap/words";
import { makeResult, maybe, part, settled, topJson } from "./helpers";
import { show, withoutKernel } from "./shown_heatmap";
import { makePairs } from "./sweeps";

const names = (el: HTMLElement, name: string) =>
  [...part(el, name).querySelectorAll(".hs-token")].map((token) => token.textContent);

test("a likely token that is not the answer can be made the answer of its side", async () => {
  const { el, sent } = await show();
  expect(part(el, "answer-clean").textContent).toBe("\u2423Stockholm");
  part(el, "answer-clean").click();
  expect(sent.at(-1)).toMatchObject({
    method: "set_answer",
    params: { side: "clean", answer: " Stockholm" },
  });
  expect(part(el, "answer-corrupt").textContent).toBe("\u2423Oslo");
});

test("half of a character, and a page without a kernel, offer no answer", async () => {
  const half = makeResult({ tokens: { "1": " Oslo", "2": "\ufffd" } });
  const { el } = await show({ result: half });
  expect(maybe(el, "answer-clean")).toBeNull();
  const page = await withoutKernel({});
  expect(maybe(page.el, "answer-clean")).toBeNull();
});

test("cells that were patched together show the joint run's own tokens", async () => {
  const together = {
    cells: [
      { activation: "resid_pre", layer: 1, position: 4, side: "corrupt" },
      { activation: "resid_pre", layer: 2, position: 5, side: "corrupt" },
    ],
    normalized: 0.93,
    value: 4.2,
    sum: 1.21,
    metric: "logit_diff",
    top: topJson([7, 1], [9, 7], [0.8, 0.1]),
    tokens: { "7": " Bergen", "1": " Oslo" },
  };
  const { el, model } = await show({ together, selection: { layer: 0, position: 4 } });
  expect(names(el, "top-together").slice(0, 2)).toEqual(["\u2423Bergen", "\u2423Oslo"]);
  expect(part(el, "top-together").textContent).toContain("together +4.20");
  expect(maybe(el, "top-patched")).toBeNull();
  expect(part(el, "detail-cell").textContent).toContain("2 cells togethereffect 0.93");
  part(el, "clear-picks").click();
  model.set("together", null);
  await settled();
  expect(maybe(el, "top-patched")).not.toBeNull();
});

test("a picture names the model, the answers and the prompts", () => {
  const provenance = { model: { name: "gpt2" } };
  expect(captionOf(decodeResult(makeResult({ provenance })))).toEqual([
    "gpt2 \u00b7 clean answer \u201c\u2423Oslo\u201d \u00b7 corrupt answer \u201c\u2423Stockholm\u201d",
    "\u201cThe capital of Norway is\u201d (clean)",
    "\u201cThe capital of Sweden is\u201d (corrupt)",
  ]);
  const pairs = { ...makePairs(), provenance };
  expect(captionOf(decodeResult(pairs))).toEqual([
    "gpt2 \u00b7 4 pairs, the first \u201cThe capital of Norway is\u201d",
  ]);
});
