// @vitest-environment node
import * as esbuild from "esbuild";
import { expect, test } from "vitest";
import { bundles, options } from "../../js/build.mjs";

const built = await esbuild.build({ ...options, write: false, sourcemap: false, metafile: true });

function outputOf(name: string) {
  const entry = Object.entries(built.metafile.outputs).find(([path]) => path.endsWith(`/${name}.js`));
  if (!entry) throw new Error(`${name}.js was not built`);
  return entry[1];
}

test.each(bundles)("$name.js keeps its budget", ({ name, budget }) => {
  expect(outputOf(name).bytes).toBeGreaterThan(10_000);
  expect(outputOf(name).bytes).toBeLessThanOrEqual(budget);
});

test.each(bundles)("$name.js is whole: it imports and fetches nothing", ({ name }) => {
  expect(outputOf(name).imports).toEqual([]);
  const text = built.outputFiles?.find((file) => file.path.endsWith(`/${name}.js`))?.text ?? "";
  const addresses = text.match(/https?:\/\/[^"'`\s]*|\bfetch\(/g) ?? [];
  // The names of XML's vocabularies look like addresses.
  expect(addresses.filter((address) => !address.startsWith("http://www.w3.org/"))).toEqual([]);
});

test("widgets export their factory, the page's script exports nothing", () => {
  expect(outputOf("attention_viewer").exports).toEqual(["default"]);
  expect(outputOf("circuitsvis").exports).toEqual(["default"]);
  expect(outputOf("logit_lens_grid").exports).toEqual(["default"]);
  expect(outputOf("patch_heatmap").exports).toEqual(["default"]);
  expect(outputOf("prompt_pair_editor").exports).toEqual(["default"]);
  expect(outputOf("report").exports).toEqual([]);
});
