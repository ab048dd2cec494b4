import { expect, test, vi } from "vitest";
import { toCsv } from "../../js/lib/table";
import { Attribution } from "../../js/panels/logit_lens_grid/attribution";
import { attributionRows, lensCsv, toTable, type View } from "../../js/panels/logit_lens_grid/export";
import { decodeLens, type ResultJson } from "../../js/panels/logit_lens_grid/result";
import { type Shown, shownSide } from "../../js/panels/logit_lens_grid/sides";
import { maybe, part, settled } from "./helpers";
import { lensTraits, makeAttribution, makeLens, makeLensPair, makeLongLens, OSLO, TOKENS } from "./lenses";
import { lensWithoutKernel, showLens } from "./shown_lens";

const viewOf = (json: ResultJson, name: "prompt" | "difference", columns: [number, number]): View => {
  const lens = decodeLens(json);
  return { lens, shown: shownSide(lens, name) as Shown, scaled: null, columns, rising: true };
};

test("the copied table is the grid as shown, and no formula", () => {
  const tokens = { ...TOKENS, 3: "=1+1" };
  const lines = toTable(viewOf(makeLens({ tokens }), "prompt", [1, 4])).split("\n");
  expect(lines).toEqual([
    "layer\tThe\t\u2423capital\t\u2423of",
    "2 out\t\u2423capital\t<script>\t\u2423the",
    "1\t'=1+1\t\u2423capital\t<script>",
    "0\t\u23ce\t'=1+1\t\u2423capital",
    "emb\t\u2423of\t\u23ce\t'=1+1",
    "",
  ]);
});

test("a difference has both sides' tokens where they are not the same", () => {
  const lines = toTable(viewOf(makeLensPair(), "difference", [4, 5])).split("\n");
  expect(lines[0]).toBe("layer\t\u2423Norway / \u2423Sweden");
  expect(lines[4]).toBe("emb\t\u2423capital|<script>");
});

test("the numbers have a line for each cell and side", () => {
  const rows = lensCsv(viewOf(makeLens({ targets: [OSLO] }), "prompt", [2, 3])).split("\n");
  expect(rows[0]).toBe(
    "side,row,position,token,top,probability,entropy_nats,kl_nats,p \u2423Oslo,rank \u2423Oslo",
  );
  expect(rows[2]).toBe("prompt,0,2,\u2423capital,\u2423is,0.12,2.5,2,0.166667,99");
  expect(rows).toHaveLength(6);
});

test("columns that have not come are left out", () => {
  expect(lensCsv(viewOf(makeLongLens(), "prompt", [0, 9])).split("\n")).toHaveLength(2);
});

test("fields with commas, quotes or line breaks are quoted", () => {
  expect(toCsv([["a,b", 'c"d', "e"]])).toBe('"a,b","c""d",e\n');
});

test("components come with their total", () => {
  const attribution = new Attribution(makeAttribution());
  const side = attribution.at("clean");
  const rows = side ? attributionRows(attribution, side) : [];
  expect(rows[0]).toEqual(["component", "logit difference"]);
  expect(rows.at(-1)).toEqual(["total", "5"]);
});

test("the code of each tab is its own", async () => {
  const writeText = vi.fn(async () => {});
  vi.stubGlobal("navigator", { ...navigator, clipboard: { writeText } });
  const { el, model } = await showLens(
    lensTraits({ attribution: makeAttribution(), attribution_code: "ib.attribute()" }),
  );
  part(el, "copy-code").click();
  expect(writeText).toHaveBeenLastCalledWith("import interp_backend as ib");
  model.set("tab", "attribution");
  await settled();
  part(el, "copy-code").click();
  expect(writeText).toHaveBeenLastCalledWith("ib.attribute()");
  vi.unstubAllGlobals();
});

test("another form of the code is asked for, copied, and not offered on a page", async () => {
  const writeText = vi.fn(async () => {});
  vi.stubGlobal("navigator", { ...navigator, clipboard: { writeText } });
  const { el, sent, answer } = await showLens();
  const menu = part<HTMLSelectElement>(el, "code-form");
  menu.value = "transformerlens";
  menu.dispatchEvent(new Event("change", { bubbles: true }));
  const request = sent.at(-1);
  expect([request?.method, menu.value]).toEqual(["transformerlens_code", ""]);
  expect(writeText).not.toHaveBeenCalled();
  answer("file", request, { format: "py", text: "import torch" });
  await settled();
  expect(writeText).toHaveBeenLastCalledWith("import torch");
  expect(menu.parentElement?.textContent).toContain("Copied");
  vi.unstubAllGlobals();
});

test("a page without a kernel has one form of the code", async () => {
  const { el } = await lensWithoutKernel();
  expect([maybe(el, "copy-code") === null, maybe(el, "code-form")]).toEqual([false, null]);
});
