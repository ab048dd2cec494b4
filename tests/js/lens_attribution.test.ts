import { expect, test } from "vitest";
import { Attribution } from "../../js/panels/logit_lens_grid/attribution";
import { extremes, headTable, stepsOf } from "../../js/panels/logit_lens_grid/attribution_sums";
import { arrayJson, CLEAN, maybe, part, press, settled } from "./helpers";
import { lensTraits, makeAttribution, pairTraits, placeAt } from "./lenses";
import { choose } from "./shown_heatmap";
import { enter, lensWithoutKernel, showLens } from "./shown_lens";

const shown = (change = {}) => pairTraits({ tab: "attribution", attribution: makeAttribution(), ...change });
const headWords = (el: HTMLElement, index: number) =>
  part(el, "by-head").querySelector(`[role][data-cell="${index}"]`)?.textContent;

async function chooseHead(el: HTMLElement) {
  const grid = part(part(el, "by-head"), "grid");
  press(grid, "ArrowDown");
  await settled();
  press(grid, "Enter");
  await settled();
}

test("layers add up: embeddings, each layer's attention and MLP, biases", () => {
  const attribution = new Attribution(makeAttribution());
  const values = attribution.at("clean")?.values ?? new Float32Array();
  expect(stepsOf(attribution, values).map(({ label, value }) => [label, value])).toEqual([
    ["embed", -4],
    ["attn 0", -3 - 2 - 1],
    ["mlp 0", 0],
    ["attn 1", 1 + 2 + 3],
    ["mlp 1", 4],
    ["bias", 5],
  ]);
});

test("what a layer without attention writes is a step of its own", () => {
  const json = makeAttribution();
  const kinds = json.kinds.map((kind) => (kind === "mlp" ? "mixer" : kind));
  const attribution = new Attribution({ ...json, kinds });
  const values = attribution.at("clean")?.values ?? new Float32Array();
  const labels = stepsOf(attribution, values).map(({ label }) => label);
  expect(labels).toEqual(["embed", "attn 0", "mixer 0", "attn 1", "mixer 1", "bias"]);
});

test("heads by layer, with the MLP as the last column", () => {
  const attribution = new Attribution(makeAttribution());
  const { values, columns } = headTable(attribution, attribution.at("clean")?.values ?? new Float32Array());
  expect(columns).toBe(4);
  expect([...values]).toEqual([-3, -2, -1, 0, 1, 2, 3, 4]);
});

test("the largest either way, without zeros", () => {
  expect(extremes(Float32Array.from([3, 0, -1, 2, -5]), 2)).toEqual({ up: [0, 3], down: [4, 2] });
  expect(extremes(Float32Array.from([3, 0]), 5)).toEqual({ up: [0], down: [] });
});

test("the title says what the components sum to, and which side is shown", async () => {
  const { el, model } = await showLens(shown());
  expect(part(el, "subtitle").textContent).toBe("sums to +5.00 logit difference");
  expect(headWords(el, 0)).toBe("head 0.0, \u22123.00");
  expect(headWords(el, 7)).toBe("mlp 1, +4.00");
  choose(el, "side", 2);
  expect(model.get("side")).toBe("difference");
  await settled();
  expect(part(el, "subtitle").textContent).toBe("sums to +2.50 logit difference, clean \u2212 corrupt");
  expect(headWords(el, 7)).toBe("mlp 1, +2.00");
});

test("the waterfall is read with the arrow keys", async () => {
  const { el } = await showLens(shown());
  const waterfall = part(el, "waterfall");
  expect(part(el, "step").textContent).toBe("6 steps, total +5.00");
  press(waterfall, "Home");
  await settled();
  press(waterfall, "ArrowRight");
  await settled();
  expect(part(el, "step").textContent).toBe("attn 0 \u22126.00, then \u221210.00");
  press(waterfall, "End");
  await settled();
  expect(waterfall.getAttribute("aria-valuetext")).toBe("total +5.00");
});

test("components are tables of what writes towards either answer", async () => {
  const { el } = await showLens(shown());
  const rows = (name: string) => [...part(el, name).querySelectorAll("tr")].map((row) => row.textContent);
  expect(rows("components-up").slice(0, 2)).toEqual(["bias+5.00", "mlp 1+4.00"]);
  expect(rows("components-down")[0]).toBe("embed\u22124.00");
  expect(part(el, "components-up").querySelector("caption")?.textContent).toBe("towards Oslo");
});

test("a head is chosen with the keyboard, and its source tokens are read with the arrow keys", async () => {
  const { el } = await showLens(shown());
  await chooseHead(el);
  // The keyboard enters in the left upper corner: the last layer.
  const sources = part(el, "sources");
  expect(sources.querySelector("h3")?.textContent).toContain("Head 1.0");
  expect(sources.querySelectorAll('[data-hs="strip-token"]')).toHaveLength(CLEAN.length);
  press(sources.querySelector('[role="slider"]') as HTMLElement, "End");
  await settled();
  expect(sources.textContent).toContain("5 \u2423is +3.00");
});

test("a click on a bar pins its place, and the pinned bar is outlined", async () => {
  const { el, model } = await showLens(shown());
  const bar = (text: string) =>
    [...el.querySelectorAll<HTMLElement>('[data-hs="components"] tr')].find((row) =>
      row.textContent?.startsWith(text),
    );
  bar("mlp 1")?.querySelector("button")?.click();
  expect(model.get("selection")).toEqual({ activation: "mlp_out", layer: 1 });
  await settled();
  expect(bar("mlp 1")?.dataset.pinned).toBe("true");
  expect(part(part(el, "by-head"), "pin").dataset.cell).toBe("7");
  bar("mlp 1")?.querySelector("button")?.click();
  expect(model.get("selection")).toBeNull();
});

test("a head that another view has pinned is pinned here, whatever its activation and position", async () => {
  const { el, model } = await showLens(shown());
  model.set("selection", { activation: "q", layer: 0, head: 2, position: 4, side: "clean" });
  await settled();
  expect(part(el, "sources").querySelector("h3")?.textContent).toContain("Head 0.2");
  expect(el.querySelector('[data-hs="components"] [data-pinned="true"]')?.textContent).toContain("head 0.2");
});

test.each([{ position: 4 }, { layer: 1, position: 4 }, { activation: "z", layer: 7, head: 0 }])(
  "a place without a component pins none: %o",
  async (selection) => {
    const { el } = await showLens(shown({ selection }));
    expect(maybe(part(el, "by-head"), "pin")).toBeNull();
    expect(el.querySelector('[data-pinned="true"]')).toBeNull();
  },
);

test("sources that did not come are asked for", async () => {
  const attribution = makeAttribution();
  for (const side of Object.values(attribution.sides)) side.by_source = null;
  const { el, sent, answer } = await showLens(shown({ attribution }));
  await chooseHead(el);
  expect(sent.at(-1)).toMatchObject({ method: "sources", params: { layer: 1, head: 0 } });
  expect(part(el, "sources").textContent).toContain("Loading");
  const values = arrayJson("float32", [6], [0, 0, 0, 0, 0.75, 0]);
  answer("sources", sent.at(-1), { layer: 1, head: 0, sides: { clean: values, corrupt: values } });
  await settled();
  expect(part(el, "sources").querySelectorAll('[data-hs="strip-token"]')).toHaveLength(6);
  expect(part(el, "sources").textContent).toContain("0.75");
});

test("the difference of sources needs prompts whose tokens correspond one to one", async () => {
  const attribution = makeAttribution({ counterparts: [0, 1, null, 3, 4, 5] });
  const { el } = await showLens(shown({ attribution, side: "difference" }));
  await chooseHead(el);
  expect(part(el, "sources").textContent).toContain("do not correspond one to one");
});

test("the last position of each prompt is asked for as such, and shown as its number", async () => {
  const attribution = makeAttribution();
  attribution.params.position = -1;
  const { el, sent } = await showLens(shown({ attribution }));
  expect(part<HTMLInputElement>(el, "position").value).toBe("5");
  part(el, "attribute").click();
  expect(sent.at(-1)?.params.position).toBe(-1);
});

test("without answers it says what to type; the pair's answers are there already", async () => {
  const { el, sent } = await showLens(lensTraits({ tab: "attribution" }));
  expect(part(el, "nothing").textContent).toContain("Type an answer");
  expect(part<HTMLButtonElement>(el, "attribute").disabled).toBe(true);
  enter(part(el, "input-answer"), " Oslo");
  await settled();
  part(el, "attribute").click();
  expect(sent.at(-1)?.params).toEqual({ answer: " Oslo", wrong_answer: null, position: -1 });
});

test("the pair's answers, and the pinned column", async () => {
  const { el, sent } = await showLens(shown({ attribution: null, selection: placeAt(1, 3) }));
  expect(part<HTMLTextAreaElement>(el, "input-wrong").value).toBe(" Stockholm");
  part(el, "use-pinned").click();
  expect(sent.at(-1)).toMatchObject({
    method: "attribute",
    params: { answer: " Oslo", wrong_answer: " Stockholm", position: 3 },
  });
});

test("a saved page reads it all without a kernel", async () => {
  const { el } = await lensWithoutKernel(shown());
  expect(el.querySelector("textarea, input")).toBeNull();
  expect(maybe(el, "attribute")).toBeNull();
  expect(part(el, "params").textContent).toBe("\u2423Oslo against \u2423Stockholm \u00b7 position 5");
  await chooseHead(el);
  expect(part(el, "sources").querySelectorAll('[data-hs="strip-token"]')).toHaveLength(6);
});

test("an attribution of an unknown format is refused with a sentence", async () => {
  const { el } = await showLens(shown({ attribution: makeAttribution({ schema_version: 3 }) }));
  expect(part(el, "error").textContent).toContain("format 3");
});

test("a place in a layer is no bias of that layer", () => {
  const json = makeAttribution();
  const biasOfLayer1 = { kinds: json.kinds.map((kind) => (kind === "bias" ? "mlp_bias" : kind)) };
  const places = [...json.places.slice(0, -1), { layer: 1 }];
  const attribution = new Attribution({ ...json, ...biasOfLayer1, places });
  expect(attribution.componentOf({ layer: 1, position: 5 })).toBeNull();
  expect(attribution.componentOf({ activation: "mlp_out", layer: 1, position: 5 })).not.toBeNull();
});
