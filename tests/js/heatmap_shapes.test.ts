import { expect, test, vi } from "vitest";
import { boardOf } from "../../js/panels/patch_heatmap/board";
import { toTable } from "../../js/panels/patch_heatmap/export";
import { cellOf, placeOf } from "../../js/panels/patch_heatmap/places";
import { decodeResult } from "../../js/panels/patch_heatmap/result";
import { arrayJson, CLEAN, maybe, part, press, settled } from "./helpers";
import { cellText, clickCell, show } from "./shown_heatmap";
import { INFO, makeSweep, makeUnequal, numbers } from "./sweeps";

const HEADS = makeSweep(["layer", "head", "position"], [4, 3, 6]);
const headTraits = { info: INFO, activation: "z", axes: ["layer", "head", "position"], result: HEADS };

test("three axes are a panel a layer, with heads as rows and positions as columns", async () => {
  const { el } = await show(headTraits);
  const titles = [...el.querySelectorAll(".hs-panel-title")].map((title) => title.textContent);
  expect(titles).toEqual(["layer 0", "layer 1", "layer 2", "layer 3"]);
  const grid = part(el, "grid");
  expect([grid.getAttribute("aria-rowcount"), grid.getAttribute("aria-colcount")]).toEqual(["12", "6"]);
  expect(cellText(el, 2 * 18 + 1 * 6 + 5)).toBe("layer 2, head 1, position 5 ' is', recovers 0.47");
});

test("arrows go from panel to panel, and Enter pins there", async () => {
  const { el, model } = await show({ ...headTraits, selection: { layer: 0, head: 1, position: 5 } });
  const grid = part(el, "grid");
  press(grid, "ArrowRight");
  await settled();
  press(grid, "Enter");
  expect(model.get("selection")).toEqual({
    activation: "z",
    layer: 1,
    head: 1,
    position: 0,
    side: "corrupt",
  });
});

test("one head of many layers is one grid: a panel a layer would have single rows", () => {
  const board = boardOf(decodeResult(makeSweep(["layer", "head", "position"], [4, 1, 6])), true, 20);
  expect(board.panels).toEqual([]);
  expect(board.rows.map((row) => row.lines[0]?.text)).toEqual(["0", "1", "2", "3"]);
  expect(board.flip).toBe(true);
});

test("selections name the model's numbers where the map shows only some of them", async () => {
  const places = { layer: [2, 5], position: [0, 1, 2, 3, [4, 5], 5] };
  const labels = { layer: ["2", "5"], position: ["<bos>", "The", " capital", " of", "subject", " is"] };
  const result = makeSweep(["layer", "position"], [2, 6], undefined, { places, labels });
  const { el, model } = await show({ result, selection: { layer: 5, position: 2 } });
  expect(part(el, "pin").dataset.cell).toBe("8");
  expect(cellText(el, 10)).toBe("layer 5, position subject, recovers 0.10");
  clickCell(el, 4);
  expect(model.get("selection")).toEqual({ activation: "z", layer: 2, position: [4, 5], side: "corrupt" });
  const sweep = decodeResult(result);
  for (let cell = 0; cell < 12; cell++) expect(cellOf(sweep, placeOf(sweep, cell))).toBe(cell);
  expect(cellOf(sweep, { layer: 0, position: 0 })).toBeNull();
});

test("where prompts are aligned, columns are the patched prompt's tokens with their counterparts", async () => {
  const { el } = await show({ result: makeUnequal(), selection: { layer: 1, position: 3 } });
  expect(cellText(el, 3)).toBe(
    "layer 0, position 3 ' now', no token of the clean prompt corresponds to this token, so nothing was patched",
  );
  expect(cellText(el, 5)).toBe("layer 0, position 5 ' Norway' / ' Sweden', recovers 0.50");
  expect(cellText(el, 6)).toBe("layer 0, position 6 ' is', recovers 0.60");
  expect(part(el, "detail-cell").textContent).toContain("no token of the clean prompt corresponds");
  const titles = [...el.querySelectorAll<HTMLElement>(".hs-panel-labels > div")].map((label) => label.title);
  expect(titles[3]).toBe("position 3: \u2423now (corrupt only)");
  expect(titles[5]).toBe("position 5: \u2423Norway (clean), \u2423Sweden (corrupt)");
});

test("prompts of unequal length that nothing aligns have no tokens beside each other", () => {
  const result = { ...makeUnequal(), counterparts: null };
  const board = boardOf(decodeResult(result), true, 20);
  expect(board.columns.map((column) => column.lines.length)).toEqual(Array(7).fill(1));
});

test("with the embeddings as the only layer there is one row, named as what it is", async () => {
  const result = makeSweep(["layer", "position"], [1, 6]);
  result.labels.layer = ["emb"];
  const { el } = await show({ result });
  expect(cellText(el, 5)).toBe("token embeddings, position 5 ' is', recovers 0.05");
});

test("of neurons those with the largest effects are shown, whichever their sign", async () => {
  const effect = ([, neuron = 0]: number[]) => (neuron === 41 ? -0.9 : neuron === 7 ? 0.5 : neuron / 1000);
  const result = makeSweep(["layer", "neuron"], [2, 60], effect);
  const { el, model } = await show({ info: INFO, result, axes: ["layer", "neuron"] });
  expect(part(el, "grid").getAttribute("aria-colcount")).toBe("20");
  expect(cellText(el, 0)).toBe("layer 0, neuron 41, recovers \u22120.900");
  expect(cellText(el, 1)).toBe("layer 0, neuron 7, recovers 0.500");
  expect(part(el, "neurons-line").textContent).toContain("of 60 neurons, largest effects");
  clickCell(el, 21);
  expect(model.get("selection")).toEqual({ activation: "z", layer: 1, neuron: 7 });
  const menu = part<HTMLSelectElement>(el, "neurons");
  menu.value = "0";
  menu.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
  expect(part(el, "grid").getAttribute("aria-colcount")).toBe("10");
  expect(part(el, "pin").dataset.cell).toBe("11");
});

test("entries of the attention pattern: nothing is where a head can't look", async () => {
  const result = makeSweep(["layer", "head", "position", "source"], [1, 1, 6, 6]);
  Object.assign(result, { labels: { ...result.labels, layer: ["2"], head: ["1"] } });
  const board = boardOf(decodeResult(result), true, 20);
  expect(board.flip).toBe(false);
  expect(board.rows[1]?.lines[0]?.text).toBe("The");
  const { el } = await show({ result });
  expect(cellText(el, 6 * 2 + 1)).toBe(
    "layer 2, head 1, position 2 ' capital', attending to position 1 'The', recovers 0.13",
  );
  expect(cellText(el, 6 * 1 + 2)).toContain("a later token, which the head can't attend to");
});

test("the copied table has a row for each head, and every neuron", () => {
  const lines = toTable(decodeResult(HEADS), false, true).split("\n");
  expect(lines[0]?.split("\t").slice(0, 3)).toEqual(["layer.head", "<bos>", "The"]);
  expect(lines[1]?.startsWith("3.2\t0.66\t")).toBe(true);
  expect(lines).toHaveLength(14);
  const neurons = toTable(decodeResult(makeSweep(["layer", "neuron"], [2, 60])), false, true).split("\n");
  expect(neurons[0]?.split("\t")).toEqual(["layer \u00d7 neuron", ...numbers(60)]);
});

test("positions of a cell that have no counterpart are said to be left as they were", async () => {
  const result = {
    ...makeUnequal(),
    unpatched: arrayJson("int32", [2, 7], [0, 0, 0, 1, 0, 2, 1, ...Array(7).fill(0)]),
  };
  const { el, model } = await show({ result, selection: { layer: 0, position: 5 } });
  const two = "2 of its positions have no counterpart and were left as they are";
  expect(cellText(el, 5)).toBe(`layer 0, position 5 ' Norway' / ' Sweden', recovers 0.50, ${two}`);
  expect(part(el, "detail-cell").textContent).toContain(two);
  expect(cellText(el, 6)).toContain("1 of its positions has no counterpart and was left as it is");
  expect(cellText(el, 3)).not.toContain("of its positions");
  model.set("selection", { layer: 1, position: 5 });
  await settled();
  expect(part(el, "detail-cell").textContent).not.toContain("of its positions");
});

test("a given vector does not come from the other run", () => {
  const result = makeSweep(["layer", "position"], [3, 6]);
  const columnsWith = (vector: unknown) => {
    result.params.value = { kind: "add", factor: 1, vector };
    return boardOf(decodeResult(result), true, 20).columns[4]?.lines.map((line) => line.text);
  };
  expect(columnsWith([0.5, 0.25])).toEqual([" Sweden"]);
  expect(columnsWith(null)).toEqual([" Norway", " Sweden"]);
});

test("a pinned cell of a map that opens can be opened, and closed again", async () => {
  const result = makeSweep(["layer", "head"], [4, 3]);
  const traits = { info: INFO, activation: "z", axes: ["layer", "head"], result };
  const { el, model, sent } = await show({ ...traits, selection: { layer: 2, head: 1 } });
  expect(part(el, "open").textContent).toBe("Show its positions");
  part(el, "open").click();
  expect(sent.at(-1)).toMatchObject({
    method: "open",
    params: { cell: { activation: "z", layer: 2, head: 1 } },
  });
  const opened = makeSweep(["layer", "head", "position"], [1, 1, 6], (_, i) => i / 10);
  Object.assign(opened, { labels: { layer: ["2"], head: ["1"], position: CLEAN } });
  await settled();
  expect(part(el, "open").textContent).toBe("Patching its positions\u2026");
  const revealed = vi.spyOn(Element.prototype, "scrollIntoView");
  model.set("opened", opened);
  await settled();
  const section = part(el, "opened");
  expect(revealed.mock.contexts).toEqual([section]);
  model.set("opened", { ...opened });
  await settled();
  expect(revealed).toHaveBeenCalledOnce(); // only what was asked for moves the page
  expect(section.getAttribute("aria-label")).toBe("head 2.1 by position");
  press(part(section, "grid"), "ArrowRight");
  await settled();
  expect(part(section, "opened-cell").textContent).toContain("recovers 0.00");
  part(el, "close-opened").click();
  expect(sent.at(-1)?.method).toBe("close_opened");
  model.set("opened", null);
  await settled();
  expect(maybe(el, "opened")).toBeNull();
});

test("a map that does not open, or nothing pinned: no button", async () => {
  const { el, model } = await show({ info: INFO, selection: { layer: 2, position: 5 } });
  expect(maybe(el, "open")).toBeNull();
  model.set("result", makeSweep(["layer", "head"], [4, 3]));
  await settled();
  expect(maybe(el, "open")).toBeNull();
});

test("an opened result of an unknown format is a sentence, and the map stays", async () => {
  const { el } = await show({ opened: { ...HEADS, schema_version: 9 } });
  expect(el.textContent).toContain("format 9");
  expect(part(el, "grid")).not.toBeNull();
});

test("what the ends of the scale are is said at the key", async () => {
  const scale_text = "0 = the corrupt run (-8.75), 1 = the clean run (+9.12)";
  const { el } = await show({ result: { ...HEADS, scale_text } });
  expect(part(el, "legend").title).toBe(scale_text);
  expect(part(el, "legend").querySelector(".hs-sr")?.textContent).toBe(scale_text);
});

test("a single row is named without the token that its title names", () => {
  const sweep = decodeResult(makeSweep(["layer", "position", "neuron"], [1, 1, 60]));
  const { rows, corner } = boardOf(sweep, true, 20);
  expect([rows[0]?.lines[0]?.text, corner]).toEqual(["0", "layer \u00d7 rank"]);
});

test.each(["zero", "mean", "resample", "scale", "prompt"])(
  "with %s nothing comes from the other run",
  (kind) => {
    const result = makeSweep(["layer", "position"], [3, 6]);
    result.params.value = { kind };
    const texts = boardOf(decodeResult(result), true, 20).columns.map((c) =>
      c.lines.map((line) => line.text),
    );
    expect(texts[4]).toEqual([" Sweden"]);
  },
);
