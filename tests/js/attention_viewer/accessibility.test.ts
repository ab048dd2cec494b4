import axe from "axe-core";
import { expect, test } from "vitest";
import { part, settled, unexplained } from "../helpers";
import { showViewer } from "./shown_viewer";
import { bytes, floats, makeAttention, pairTraits, viewerTraits } from "./viewers";

// Colours are not computed here: contrast is held by color.test.ts and in a real browser.
const RULES = { "color-contrast": { enabled: false }, region: { enabled: false } };

const PATCH = {
  layer: 0,
  head: 1,
  activation: "z",
  label: "logit difference",
  scale_text: "",
  direction: "denoise",
  tokens: ["a", "b"],
  effects: floats([2], Float32Array.from([0, 1])),
  state: bytes([2], Uint8Array.from([2, 1])),
  all: 1,
};

test.each([
  ["viewer", viewerTraits()],
  [
    "opened heads",
    viewerTraits({
      opened: [
        [0, 1],
        [1, 2],
      ],
      selection: { layer: 0, head: 1, position: 3, source: 2 },
    }),
  ],
  ["sorted heads", viewerTraits({ sort: "induction", marks: ["induction"] })],
  ["patched head", pairTraits({ opened: [[0, 1]], head_patch: PATCH, side: "difference" })],
  ["viewer that waits", viewerTraits({ result: null, status: "running" })],
  ["failed viewer", viewerTraits({ status: "error", error: { field: null, message: "No." } })],
  [
    "heads that are not here",
    viewerTraits({ opened: [[0, 1]], result: makeAttention({}, { whole: false }) }),
  ],
])("axe finds nothing wrong with the %s, and its controls say what they are for", async (_, traits) => {
  const { el } = await showViewer(traits);
  if (el.querySelector('[data-hs="more"]')) part(el, "more").click();
  await settled();
  const { violations } = await axe.run(el, { rules: RULES });
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
  for (const action of el.querySelectorAll<HTMLElement>("[data-hs^=action-]")) {
    action.click();
    await settled();
    expect(unexplained(el)).toEqual([]);
  }
  expect(unexplained(el)).toEqual([]);
});
