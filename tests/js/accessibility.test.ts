import axe from "axe-core";
import { expect, test } from "vitest";
import patchHeatmap from "../../js/patch_heatmap";
import promptPairEditor from "../../js/prompt_pair_editor";
import { editorTraits, heatmapTraits, modelWithKernel, mountWidget, settled } from "./helpers";

// Colours are not computed here: contrast is held by color.test.ts and in a real browser.
const RULES = { "color-contrast": { enabled: false }, region: { enabled: false } };

test.each([
  ["heatmap", patchHeatmap, heatmapTraits({ selection: { layer: 0, position: 4 } })],
  ["running heatmap", patchHeatmap, heatmapTraits({ status: "running" })],
  ["editor", promptPairEditor, editorTraits()],
])("axe finds nothing wrong with the %s", async (_, create, traits) => {
  const { el, cleanup } = mountWidget(create, modelWithKernel(traits).model);
  await settled();
  const { violations } = await axe.run(el, { rules: RULES });
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
  cleanup();
});
