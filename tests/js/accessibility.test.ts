import axe from "axe-core";
import { expect, test } from "vitest";
import circuitGraph from "../../js/panels/circuit_graph";
import logitLensGrid from "../../js/panels/logit_lens_grid";
import patchHeatmap from "../../js/panels/patch_heatmap";
import promptPairEditor from "../../js/panels/prompt_pair_editor";
import {
  INFO as CIRCUIT_INFO,
  circuitTraits,
  curveTraits,
  faithTraits,
  pathTraits,
} from "./circuit_graph/circuits";
import {
  editorTraits,
  heatmapTraits,
  modelWithKernel,
  mountWidget,
  PAIR,
  settled,
  unexplained,
} from "./helpers";
import {
  lensTraits,
  makeAttribution,
  makeLens,
  makeLongLens,
  makeUnequalLens,
  OSLO,
  pairTraits,
  placeAt,
  STOCKHOLM,
} from "./lenses";
import { INFO, makePairs, makeSweep } from "./sweeps";

// Colours are not computed here: contrast is held by color.test.ts and in a real browser.
const RULES = { "color-contrast": { enabled: false }, region: { enabled: false } };

const CROWDED = {
  info: INFO,
  activation: "z",
  axes: ["layer", "head", "position"],
  result: makeSweep(["layer", "head", "position"], [4, 3, 6]),
  value: { kind: "prompt", text: "The capital of Peru is" },
  window: 3,
  at: 4,
  selection: { layer: 1, head: 0, position: 5 },
  opened: makeSweep(["layer", "neuron"], [1, 60]),
  together: {
    cells: [0, 1].map((head) => ({ layer: 1, head, position: 5 })),
    normalized: 1,
    sum: 2,
    metric: "logit_diff",
  },
  error: { field: "metric", message: "Your metric failed.", traceback: "Traceback" },
  code: "import interp_backend as ib",
};

test.each([
  ["heatmap", patchHeatmap, heatmapTraits({ selection: { layer: 0, position: 4 } })],
  ["running heatmap", patchHeatmap, heatmapTraits({ status: "running" })],
  [
    "heatmap of pairs",
    patchHeatmap,
    heatmapTraits({ result: makePairs(), selection: { layer: 0, position: 5 } }),
  ],
  ["heatmap with everything on it", patchHeatmap, heatmapTraits(CROWDED)],
  [
    "lens",
    logitLensGrid,
    lensTraits({
      result: makeLens({ targets: [OSLO, STOCKHOLM] }),
      color: "target",
      columns: [1, 5],
      selection: placeAt(1, 2),
    }),
  ],
  ["lens of a long prompt", logitLensGrid, lensTraits({ result: makeLongLens() })],
  [
    "lens of a difference",
    logitLensGrid,
    pairTraits({ side: "difference", result: makeUnequalLens(), selection: placeAt(1, 1) }),
  ],
  ["attribution", logitLensGrid, pairTraits({ tab: "attribution", attribution: makeAttribution() })],
  ["attribution before its first run", logitLensGrid, lensTraits({ tab: "attribution" })],
  [
    "circuit with a pinned node and an error",
    circuitGraph,
    circuitTraits({
      selection: { activation: "z", layer: 1, head: 1 },
      error: { message: "Your metric failed.", traceback: "Traceback" },
    }),
  ],
  ["circuit of no edges", circuitGraph, circuitTraits({ edges: 1 })],
  [
    "circuit of a graph that was given",
    circuitGraph,
    circuitTraits({ info: { ...CIRCUIT_INFO, given: true } }),
  ],
  ["paths", circuitGraph, pathTraits()],
  ["paths of which one runs", circuitGraph, pathTraits({ paths: [], status: "running" })],
  ["faithfulness with its curves", circuitGraph, curveTraits()],
  ["faithfulness without curves", circuitGraph, faithTraits()],
  ["editor", promptPairEditor, editorTraits()],
  ["editor of an alignment", promptPairEditor, editorTraits({ pair: { ...PAIR, alignment: [[4, 5]] } })],
])(
  "axe finds nothing wrong with the %s, and its controls say what they are for",
  async (_, create, traits) => {
    const { el, cleanup } = mountWidget(create, modelWithKernel(traits).model);
    await settled();
    const { violations } = await axe.run(el, { rules: RULES });
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
    el.querySelector<HTMLElement>("[data-hs=more]")?.click();
    await settled();
    expect(unexplained(el)).toEqual([]);
    cleanup();
  },
);
