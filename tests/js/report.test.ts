import { afterEach, expect, test, vi } from "vitest";
import { circuitTraits } from "./circuit_graph/circuits";
import { editorTraits, heatmapTraits, maybe, part, press, settled } from "./helpers";
import { makeAttribution, pairTraits } from "./lenses";

// The first import transforms every view, which a busy machine does not do within one test's time.
await import("../../js/report/index");

afterEach(() => {
  document.body.replaceChildren();
});

async function openPage(page: object) {
  vi.resetModules();
  const script = document.createElement("script");
  script.type = "application/json";
  script.id = "hookscope-page";
  script.textContent = JSON.stringify(page);
  document.body.append(script);
  await import("../../js/report/index");
  await settled();
  const main = document.getElementById("hookscope-views");
  if (!main) throw new Error("the page has no views");
  return main;
}

const VIEWS = [
  { widget: "prompt_pair_editor", caption: "tiny & <b>small</b>", state: editorTraits() },
  { widget: "patch_heatmap", caption: "", state: heatmapTraits() },
  { widget: "logit_lens_grid", caption: "", state: pairTraits({ attribution: makeAttribution() }) },
  { widget: "circuit_graph", caption: "", state: circuitTraits() },
];

test("a saved page mounts its views in order, under its title", async () => {
  const main = await openPage({ schema_version: 1, title: "Where <b>Oslo</b> lives", views: VIEWS });
  const names = [...main.querySelectorAll<HTMLElement>(".hs-root")].map((root) => root.dataset.hs);
  expect(names).toEqual(["prompt-pair-editor", "patch-heatmap", "logit-lens-grid", "circuit-graph"]);
  expect(main.querySelector("h1")?.textContent).toBe("Where <b>Oslo</b> lives");
  expect(main.querySelector("p")?.textContent).toBe("tiny & <b>small</b>");
});

test("without a kernel nothing is offered that would need one", async () => {
  const main = await openPage({ schema_version: 1, title: "", views: VIEWS });
  // What is shown of a saved map or lens can still be chosen.
  const fields = [...main.querySelectorAll<HTMLElement>("textarea, input")].map((field) => field.dataset.hs);
  expect(fields).toEqual(["color-limit", "edges"]);
  const menus = [...main.querySelectorAll<HTMLElement>("select")].map((menu) => menu.dataset.hs);
  expect(menus).toEqual(["units", "side", "color"]);
  for (const name of ["run", "cancel", "undo", "swap", "templates"]) expect(maybe(main, name)).toBeNull();
  expect(part(main, "params").textContent).toBe(
    "resid_pre \u00b7 logit difference \u00b7 clean \u2192 corrupt",
  );
  expect(part(main, "input-clean").textContent).toBe("The capital of Norway is");
  expect(maybe(main, "copy")).not.toBeNull();
});

test("pins still work there", async () => {
  const main = await openPage({ schema_version: 1, title: "", views: VIEWS });
  press(part(main, "grid"), "ArrowRight");
  await settled();
  press(part(main, "grid"), "Enter");
  await settled();
  expect(part(main, "pin").dataset.cell).toBe("12");
});

test("a page of an unknown format is refused with a sentence", async () => {
  const main = await openPage({ schema_version: 2, title: "", views: VIEWS });
  expect(main.textContent).toContain("format 2");
  expect(main.querySelector(".hs-root")).toBeNull();
});

test("an unknown view is named, and the others are shown", async () => {
  const main = await openPage({
    schema_version: 1,
    title: "",
    views: [{ widget: "x", caption: "", state: {} }, VIEWS[1]],
  });
  expect(main.textContent).toContain('no view "x"');
  expect(main.querySelectorAll(".hs-root")).toHaveLength(1);
});
