import { gzipSync } from "node:zlib";
import { afterEach, expect, test, vi } from "vitest";
import { circuitTraits } from "./circuit_graph/circuits";
import { editorTraits, heatmapTraits, maybe, part, press, settled } from "./helpers";
import { makeAttribution, pairTraits } from "./lenses";

// The first import transforms every view, which a busy machine does not do within one test's time.
await import("../../js/report/index");

afterEach(() => {
  document.body.replaceChildren();
});

/** As Python writes it: places for views, and their states as compressed JSON. */
async function openPage(page: { schema_version?: number; shared?: unknown[]; views: View[] }) {
  vi.resetModules();
  const main = document.createElement("main");
  for (const i of page.views.keys()) {
    const place = document.createElement("div");
    place.dataset.view = String(i);
    main.append(place);
  }
  const script = document.createElement("script");
  script.type = "application/gzip";
  script.id = "hookscope-page";
  script.textContent = gzipSync(JSON.stringify({ schema_version: 1, shared: [], ...page })).toString(
    "base64",
  );
  document.body.append(main, script);
  await import("../../js/report/index");
  const places = [...main.children];
  await vi.waitFor(() => expect(places.every(({ childNodes }) => childNodes.length > 0)).toBe(true));
  await settled();
  return main;
}

interface View {
  widget: string;
  state: Record<string, unknown>;
}

const view = (widget: string, traits: Record<string, unknown>): View => ({
  widget,
  state: Object.fromEntries(Object.entries(traits).map(([name, own]) => [name, { own }])),
});

const VIEWS = [
  view("prompt_pair_editor", editorTraits()),
  view("patch_heatmap", heatmapTraits()),
  view("logit_lens_grid", pairTraits({ attribution: makeAttribution() })),
  view("circuit_graph", circuitTraits()),
];

test("a saved page mounts its views in their places", async () => {
  const main = await openPage({ views: VIEWS });
  const names = [...main.querySelectorAll<HTMLElement>("[data-view] .hs-root")].map(
    (root) => root.dataset.hs,
  );
  expect(names).toEqual(["prompt-pair-editor", "patch-heatmap", "logit-lens-grid", "circuit-graph"]);
});

test("what several views have is in the page once", async () => {
  const { result, ...rest } = heatmapTraits();
  const one = view("patch_heatmap", rest);
  const sharing = { ...one, state: { ...one.state, result: { shared: 0 } } };
  const main = await openPage({ shared: [result], views: [sharing, sharing] });
  expect(main.querySelectorAll("[data-hs=grid]")).toHaveLength(2);
});

test("without a kernel nothing is offered that would need one", async () => {
  const main = await openPage({ views: VIEWS });
  // What is shown of a saved map or lens can still be chosen.
  const fields = [...main.querySelectorAll<HTMLElement>("textarea, input")].map((field) => field.dataset.hs);
  expect(fields).toEqual(["color-limit", "edges"]);
  const menus = [...main.querySelectorAll<HTMLElement>("select")].map((menu) => menu.dataset.hs);
  expect(menus).toEqual(["save", "units", "save", "side", "color", "save", "arrange"]);
  for (const name of ["run", "cancel", "undo", "swap", "templates"]) expect(maybe(main, name)).toBeNull();
  expect(part(main, "params").textContent).toBe(
    "resid_pre \u00b7 logit difference \u00b7 clean \u2192 corrupt",
  );
  expect(part(main, "input-clean").textContent).toBe("The capital of Norway is");
  expect(maybe(main, "copy")).not.toBeNull();
});

test("pins still work there", async () => {
  const main = await openPage({ views: VIEWS });
  press(part(main, "grid"), "ArrowRight");
  await settled();
  press(part(main, "grid"), "Enter");
  await settled();
  expect(part(main, "pin").dataset.cell).toBe("12");
});

test("a page of an unknown format is refused with a sentence", async () => {
  const main = await openPage({ schema_version: 2, views: VIEWS });
  expect(main.textContent).toContain("format 2");
  expect(main.querySelector(".hs-root")).toBeNull();
});

test("an unknown view is named, and the others are shown", async () => {
  const main = await openPage({ views: [view("x", {}), ...VIEWS.slice(1, 2)] });
  expect(main.textContent).toContain('no view "x"');
  expect(main.querySelectorAll(".hs-root")).toHaveLength(1);
});
