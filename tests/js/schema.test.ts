// A view of a state that another version of Hookscope saved says what to do.
import { afterEach, expect, test } from "vitest";
import attentionViewer from "../../js/panels/attention_viewer";
import circuitGraph from "../../js/panels/circuit_graph";
import circuitsvis from "../../js/panels/circuitsvis";
import logitLensGrid from "../../js/panels/logit_lens_grid";
import patchHeatmap from "../../js/panels/patch_heatmap";
import promptPairEditor from "../../js/panels/prompt_pair_editor";
import { MemoryModel } from "../../js/report/memory_model";
import { SCHEMA_VERSION } from "../../js/wire/requests";
import { viewerTraits } from "./attention_viewer/viewers";
import { circuitTraits } from "./circuit_graph/circuits";
import { tokensFigure } from "./circuitsvis/figures";
import { editorTraits, heatmapTraits, maybe, mountWidget, settled } from "./helpers";
import { lensTraits } from "./lenses";

const OLDER = "This was saved by an older Hookscope; run the cell again.";
const VIEWS = [
  ["prompt-pair-editor", promptPairEditor, editorTraits(), "tokens"],
  ["patch-heatmap", patchHeatmap, heatmapTraits(), "direction"],
  ["logit-lens-grid", logitLensGrid, lensTraits(), "stream"],
  ["attention-viewer", attentionViewer, viewerTraits(), "thumbs"],
  ["circuit-graph", circuitGraph, circuitTraits(), "trail"],
  ["circuitsvis", circuitsvis, { schema: SCHEMA_VERSION, figure: tokensFigure(), chosen: {} }, "figure"],
] as const;

afterEach(() => document.body.replaceChildren());

async function textOf(create: (typeof VIEWS)[number][1], traits: Record<string, unknown>) {
  const { el, cleanup } = mountWidget(create, new MemoryModel(traits));
  await settled();
  const shown = { name: el.querySelector<HTMLElement>(".hs-root")?.dataset.hs, text: el.textContent ?? "" };
  cleanup();
  return shown;
}

test.each(VIEWS)("%s shows a state of its own version", async (name, create, traits) => {
  expect((await textOf(create, traits)).name).toBe(name);
});

test.each(VIEWS)(
  "%s says to run the cell again where the state has no version",
  async (_, create, traits) => {
    const { schema: _schema, ...old } = traits as Record<string, unknown>;
    const { name, text } = await textOf(create, old);
    expect(name).toBe("refused");
    expect(text).toContain(OLDER);
  },
);

test.each(VIEWS)("%s says so where a trait that it needs is missing", async (_, create, traits, missing) => {
  const { [missing]: _missing, ...less } = traits as Record<string, unknown>;
  expect((await textOf(create, less)).text).toContain(OLDER);
});

test("a state of a later version is said to be newer", async () => {
  const { text } = await textOf(patchHeatmap, heatmapTraits({ schema: SCHEMA_VERSION + 1 }));
  expect(text).toContain("This was saved by a newer Hookscope; run the cell again.");
});

test("two views of such a model both say so, and the model is left alone", async () => {
  const model = new MemoryModel({}, () => expect.unreachable("nothing is asked of the kernel"));
  const { els, cleanup } = mountWidget(patchHeatmap, model, 2);
  await settled();
  for (const el of els) expect(maybe(el, "refused")?.textContent).toBe(OLDER);
  cleanup();
});
