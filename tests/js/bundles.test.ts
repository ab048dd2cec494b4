// @vitest-environment node
import { readdirSync } from "node:fs";
import * as esbuild from "esbuild";
import { expect, test } from "vitest";
import { bundles, options, sizes } from "../../js/build.mjs";

const built = await esbuild.build({ ...options, write: false, sourcemap: false, metafile: true });

function outputOf(name: string) {
  const entry = Object.entries(built.metafile.outputs).find(([path]) => path.endsWith(`/${name}.js`));
  if (!entry) throw new Error(`${name}.js was not built`);
  return entry[1];
}

test.each(sizes(built.metafile))(
  "$name.js keeps its budgets",
  ({ name, own, ownBudget, shared, sharedBudget, libraries, librariesBudget }) => {
    expect(own).toBeGreaterThan(["report", "workbench"].includes(name) ? 1_000 : 10_000);
    expect(own).toBeLessThanOrEqual(ownBudget);
    expect(shared).toBeGreaterThan(10_000);
    expect(shared).toBeLessThanOrEqual(sharedBudget);
    expect(libraries > 0).toBe(["circuit_graph", "report"].includes(name));
    expect(libraries).toBeLessThanOrEqual(librariesBudget);
  },
);

test("js/bundles.json names every folder that has a bundle", () => {
  expect([...bundles].sort()).toEqual([...readdirSync("js/panels"), "report", "workbench"].sort());
});

test.each(bundles.filter((name) => name !== "report"))("%s.js has no other view's code", (name) => {
  const others = bundles.filter((other) => other !== name).map((other) => `js/panels/${other}/`);
  const foreign = Object.keys(outputOf(name).inputs).filter((path) =>
    others.some((other) => path.startsWith(other)),
  );
  expect(foreign).toEqual([]);
});

test.each(bundles)("%s.js is whole: it imports and fetches nothing", (name) => {
  expect(outputOf(name).imports).toEqual([]);
  const text = built.outputFiles?.find((file) => file.path.endsWith(`/${name}.js`))?.text ?? "";
  const addresses = text.match(/https?:\/\/[^"'`\s]*|\bfetch\(/g) ?? [];
  // The names of XML's vocabularies look like addresses.
  expect(addresses.filter((address) => !address.startsWith("http://www.w3.org/"))).toEqual([]);
});

test.each(bundles)("%s.js exports its factory, and the page's script exports nothing", (name) => {
  expect(outputOf(name).exports).toEqual(name === "report" ? [] : ["default"]);
});
