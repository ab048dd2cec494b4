// Every panel takes any place, shows as much of it as it has, and names its own cells as places.
import { expect, test } from "vitest";
import type { Place } from "../../js/lib/place";
import attentionViewer from "../../js/panels/attention_viewer";
import { panel as attentionPanel } from "../../js/panels/attention_viewer/panel";
import circuitGraph from "../../js/panels/circuit_graph";
import { panel as circuitPanel } from "../../js/panels/circuit_graph/panel";
import { panel as figurePanel } from "../../js/panels/circuitsvis/panel";
import logitLensGrid from "../../js/panels/logit_lens_grid";
import { panel as lensPanel } from "../../js/panels/logit_lens_grid/panel";
import patchHeatmap from "../../js/panels/patch_heatmap";
import { panel as heatmapPanel } from "../../js/panels/patch_heatmap/panel";
import { panel as editorPanel } from "../../js/panels/prompt_pair_editor/panel";
import { MemoryModel } from "../../js/report/memory_model";
import {
  INFO as ATTENTION_INFO,
  pairTraits as attentionTraits,
  makePairAttention,
} from "./attention_viewer/viewers";
import {
  INFO as CIRCUIT_INFO,
  circuitTraits,
  faithTraits,
  NODES,
  pathTraits,
} from "./circuit_graph/circuits";
import { editorTraits, heatmapTraits, maybe, modelWithKernel, mountWidget, part, settled } from "./helpers";
import { lensTraits, makeUnequalLens, pairTraits } from "./lenses";
import { INFO, makeSweep, makeUnequal } from "./sweeps";

const model = (traits: Record<string, unknown>) => new MemoryModel(traits);
const heatmapOf = (traits: Record<string, unknown>) => heatmapPanel.state(model(heatmapTraits(traits)));
const lensOf = (traits: Record<string, unknown>) => lensPanel.state(model(traits));
const circuitOf = (traits = {}) => circuitPanel.state(model(circuitTraits(traits)));
const attentionOf = (traits: Record<string, unknown>) => attentionPanel.state(model(attentionTraits(traits)));

test("a cell's place leads back to the cell, in every panel and on every side", () => {
  const heatmap = heatmapOf({ result: makeSweep(["layer", "head", "position"], [2, 3, 6]) });
  for (let cell = 0; cell < 36; cell++) {
    expect(heatmapPanel.cellOf(heatmap, heatmapPanel.placeOf(heatmap, cell))).toBe(cell);
  }
  for (const traits of [
    lensTraits(),
    ...["clean", "corrupt", "difference"].map((side) => pairTraits({ side })),
  ]) {
    const lens = lensOf(traits);
    for (const cell of [0, 1, 2, 3].flatMap((row) => [0, 3, 5].map((position) => ({ row, position })))) {
      expect(lensPanel.cellOf(lens, lensPanel.placeOf(lens, cell))).toEqual(cell);
    }
  }
  for (const side of ["clean", "corrupt", "difference"]) {
    const attention = attentionOf({ side });
    for (const cell of [
      { head: 4, position: 5, source: 2 },
      { head: null, position: 0, source: null },
      { head: 0, position: null, source: null },
    ]) {
      expect(attentionPanel.cellOf(attention, attentionPanel.placeOf(attention, cell))).toEqual(cell);
    }
  }
  const circuit = circuitOf();
  for (const node of NODES) {
    expect(circuitPanel.cellOf(circuit, circuitPanel.placeOf(circuit, node))).toBe(node);
  }
  const editor = editorPanel.state(model(editorTraits()));
  expect(editorPanel.cellOf(editor, editorPanel.placeOf(editor, 4))).toBe(4);
});

test("what a place says more than a panel has is ignored", () => {
  const place: Place = {
    activation: "pattern",
    layer: 1,
    head: 2,
    neuron: 9,
    feature: 3,
    position: 4,
    source: 1,
  };
  expect(heatmapPanel.cellOf(heatmapOf({}), place)).toBe(10);
  expect(lensPanel.cellOf(lensOf(lensTraits()), place)).toEqual({ row: 2, position: 4 });
  expect(attentionPanel.cellOf(attentionOf({}), place)).toEqual({ head: 5, position: 4, source: 1 });
  expect(circuitPanel.cellOf(circuitOf(), { ...place, head: 1 })).toBe("a1.h1");
  expect(editorPanel.cellOf(editorPanel.state(model(editorTraits())), place)).toBe(4);
});

test("nothing is pinned where the place is not there, or does not say enough", () => {
  for (const place of [
    null,
    {},
    { layer: 99, position: 99, head: 99 },
    { activation: "resid_pre" },
  ] as const) {
    expect(heatmapPanel.cellOf(heatmapOf({}), place)).toBeNull();
    expect(lensPanel.cellOf(lensOf(lensTraits()), place)).toBeNull();
    expect(attentionPanel.cellOf(attentionOf({}), place)).toBeNull();
    if (place?.activation !== "resid_pre") expect(circuitPanel.cellOf(circuitOf(), place)).toBeNull();
    expect(editorPanel.cellOf(editorPanel.state(model(editorTraits())), place)).toBeNull();
  }
  expect(heatmapPanel.cellOf(heatmapOf({ result: null }), { layer: 0, position: 0 })).toBeNull();
  expect(circuitPanel.cellOf(circuitOf({ result: null }), { layer: 0, head: 0 })).toBeNull();
  expect(figurePanel.cellOf({} as never, { layer: 0 })).toBeNull();
});

test("a lens has a row for what enters the first block, and one after each block", () => {
  const lens = lensOf(lensTraits());
  const rowOf = (place: Place) => lensPanel.cellOf(lens, { ...place, position: 0 })?.row;
  expect(rowOf({ activation: "resid_pre", layer: 0 })).toBe(0);
  expect(rowOf({ activation: "resid_post", layer: 0 })).toBe(1);
  expect(rowOf({ activation: "mlp_out", layer: 0 })).toBe(1);
  expect(rowOf({ layer: 2 })).toBe(3);
});

/** The corrupt prompt has " now" at position 3, so that clean position 4 is corrupt position 5. */
test("a place on the other side of a pair is crossed through the alignment", () => {
  const heatmap = heatmapOf({ result: makeUnequal() });
  expect(heatmapPanel.cellOf(heatmap, { layer: 1, position: 4, side: "clean" })).toBe(12);
  expect(heatmapPanel.cellOf(heatmap, { layer: 1, position: 4, side: "corrupt" })).toBe(11);
  const result = makeUnequalLens();
  const clean = lensOf(pairTraits({ result, side: "clean" }));
  expect(lensPanel.cellOf(clean, { layer: 0, position: 4, side: "corrupt" })).toEqual({
    row: 1,
    position: 3,
  });
  expect(lensPanel.cellOf(clean, { layer: 0, position: 3, side: "corrupt" })).toBeNull();
  const corrupt = lensOf(pairTraits({ result, side: "corrupt" }));
  expect(lensPanel.cellOf(corrupt, { layer: 0, position: 3, side: "clean" })).toEqual({
    row: 1,
    position: 4,
  });
  expect(lensPanel.cellOf(corrupt, { layer: 0, position: 2, side: "clean" })).toBeNull();
  const counterparts = [0, 1, null, 2, 3, 4];
  const attention = attentionOf({ result: makePairAttention({ counterparts }), side: "corrupt" });
  const head = { layer: 0, head: 1 };
  expect(attentionPanel.cellOf(attention, { ...head, position: 5, source: 2, side: "clean" })).toEqual({
    head: 1,
    position: 4,
    source: null,
  });
});

test("a place of the corrupt prompt is its counterpart in the editor", () => {
  const tokens = editorTraits().tokens as { clean: object; columns: object[] };
  const columns = [0, 1, 2, 3, 4, 5].map((i) => ({ clean: i === 2 ? null : i, corrupt: i, same: i !== 2 }));
  const editor = editorPanel.state(model(editorTraits({ tokens: { ...tokens, columns } })));
  expect(editorPanel.cellOf(editor, { position: 4, side: "corrupt" })).toBe(4);
  expect(editorPanel.cellOf(editor, { position: 2, side: "corrupt" })).toBeNull();
});

const bare = (info: unknown) => ({ info: { ...(info as object), model: null } });
const BARE = [
  ["heatmap", patchHeatmap, heatmapTraits(bare(INFO)), "sweep"],
  ["lens", logitLensGrid, lensTraits(bare(lensTraits().info)), "lens-result"],
  ["attribution", logitLensGrid, pairTraits({ ...bare(lensTraits().info), tab: "attribution" }), "nothing"],
  ["circuit", circuitGraph, circuitTraits(bare(CIRCUIT_INFO)), "circuit"],
  ["paths", circuitGraph, pathTraits(bare(CIRCUIT_INFO)), "senders"],
  ["faithfulness", circuitGraph, faithTraits(bare(CIRCUIT_INFO)), "robustness"],
  ["attention", attentionViewer, attentionTraits({ ...bare(ATTENTION_INFO), opened: [[0, 1]] }), "matrix"],
] as const;

test.each(BARE)(
  "a bare result in the %s leaves out what would need a model",
  async (_, create, traits, shown) => {
    for (const status of ["done", "idle"]) {
      const kernel = modelWithKernel({ ...traits, status });
      const { el, cleanup } = mountWidget(create, kernel.model);
      await settled();
      expect(part(el, shown)).not.toBeNull();
      expect(el.querySelector("textarea")).toBeNull();
      for (const name of [
        "run",
        "cancel",
        "activation",
        "stream",
        "kind",
        "attribute",
        "actions",
        "more-options",
        "rules",
        "crumb",
      ]) {
        expect(maybe(el, name)).toBeNull();
      }
      expect(kernel.sent).toEqual([]);
      cleanup();
    }
  },
);
