// The fourth tab: what a hypothesis recovers, what must agree at its nodes, and which data stood in.
import { expect, test } from "vitest";
import { decodeScrubbing, featureParts, kindOf } from "../../../js/panels/circuit_graph/scrubbing";
import { CircuitState } from "../../../js/panels/circuit_graph/state";
import { scrubRows } from "../../../js/panels/circuit_graph/tools";
import { MemoryModel } from "../../../js/report/memory_model";
import { maybe, part, settled } from "../helpers";
import { AGREE, makeOutline, makeScrubbing, scrubTraits } from "./circuits";
import { circuitWithoutKernel, click, node, showCircuit } from "./shown_circuit";

const row = (el: HTMLElement, name: string) =>
  el.querySelector(`[data-hs="scrub-node"][data-name="${name}"]`) as HTMLElement;
const menu = (el: HTMLElement, name: string, which = "agrees") =>
  part<HTMLSelectElement>(row(el, name), which);
const labels = (select: HTMLSelectElement) => [...select.options].map(({ textContent }) => textContent);
async function choose(select: HTMLSelectElement, index: number) {
  select.value = String(index);
  select.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
}
const words = (el: HTMLElement) => part(el, "scrub-words").textContent;
const standIns = (el: HTMLElement) =>
  [...part(el, "stand-ins").querySelectorAll("li")].map((one) =>
    [...one.children].map(({ textContent }) => textContent),
  );
const left = (el: HTMLElement, name: string) => part(el, name).style.left;

test("which datum stood in is read by sample, node and datum, the tree depth first", () => {
  const found = decodeScrubbing(makeScrubbing());
  const rows = found.standIns(1, 2);
  expect(rows.map(({ node, depth }) => [node, depth])).toEqual([
    ["logits", 0],
    ["a1.h1", 1],
    ["a1.h1<k>", 2],
    ["a0.h1", 3],
    ["m0", 1],
    ["others", 1],
  ]);
  expect(rows.map(({ datum }) => datum)).toEqual([2, 1, 1, 1, 1, 1]);
  expect(found.shares.get("m0")).toEqual({ share: -4, low: -6, high: -1 });
});

test("a draft has numbers and nothing to inspect", () => {
  const { tree, data, sources, ...draft } = makeScrubbing();
  const found = decodeScrubbing(draft);
  expect([found.samples, found.data, found.standIns(0, 0)]).toEqual([0, 0, []]);
});

test("a feature is its name and its position", () => {
  expect(featureParts("token@-2")).toEqual({ name: "token", at: -2 });
  expect(featureParts("answer")).toEqual({ name: "answer", at: null });
  expect(["exact", "anything", "token@1", "vowels"].map(kindOf)).toEqual([
    "exact",
    "anything",
    "feature",
    "feature",
  ]);
});

test("the bar stands between shuffled outputs and the model, and a sentence says what it means", async () => {
  const { el } = await showCircuit(scrubTraits());
  expect(words(el)).toBe(
    "The hypothesis keeps 72.3% of what the model gains over shuffled outputs [68.0, 75.5]; a constant output alone would reach 31.0%.",
  );
  expect([part(el, "scrub-fill").style.left, part(el, "scrub-fill").style.width]).toEqual(["0%", "72.25%"]);
  expect(part(el, "scrub-count").textContent).toBe(
    "Mean log-probability of 3 data, 2 samples of each: model \u22120.10, scrubbed \u22121.50, constant \u22124.00, shuffled \u22126.00.",
  );
  expect(maybe(el, "scrub-before")).toBeNull();
});

test("below the constant output it explains nothing, and beyond the ends the scale grows", async () => {
  const { el } = await showCircuit(scrubTraits({ scrubbing: makeScrubbing({ recovered: -50, low: -60 }) }));
  expect(words(el)).toContain("Below that it explains nothing.");
  expect(part(el, "scrub-fill").style.left).toBe(`${(100 * 10) / 160}%`);
});

test("without a scale there is a sentence", async () => {
  const nothing = { recovered: null, low: null, high: null, constant: null };
  const { el } = await showCircuit(scrubTraits({ scrubbing: makeScrubbing(nothing) }));
  expect(words(el)).toContain("nothing to recover");
  expect(maybe(el, "scrub-bar")).toBeNull();
});

test("what the hypothesis before recovered stays as a mark", async () => {
  const { el, model } = await showCircuit(scrubTraits());
  model.set("scrubbing", makeScrubbing({ id: "scrub-2", recovered: 40, done: 1, provenance: {} }));
  await settled();
  expect(left(el, "scrub-before")).toBe("72.25%");
  model.set("scrubbing", makeScrubbing({ id: "scrub-2", recovered: 45 }));
  await settled();
  expect(left(el, "scrub-before")).toBe("72.25%");
  expect(words(el)).toContain("keeps 45.0%");
  expect(words(el)).toContain("Before the last change it was 72.3%.");
});

test("a first estimate says of how many data it is", async () => {
  const { tree, data, sources, ...draft } = makeScrubbing({ done: 1, provenance: { complete: false } });
  const { el } = await showCircuit(scrubTraits({ scrubbing: draft }));
  expect(words(el)).toMatch(/^So far, from 1 of 3 data, the hypothesis keeps 72\.3%/);
  expect(maybe(el, "inspector")).toBeNull();
});

test("until its first estimate the hypothesis before is faded, without shares", async () => {
  const outline = makeOutline({ hypothesis: { edges: ["m0->logits"], agree: {} }, nodes: ["m0"] });
  const { el } = await showCircuit(scrubTraits({ outline }));
  expect(part(el, "scrub-bar").dataset.current).toBe("false");
  expect(maybe(el, "share")).toBeNull();
  expect(maybe(el, "inspector")).toBeNull();
});

test("each node has what must agree and its share, in the order of the model", async () => {
  const { el } = await showCircuit(scrubTraits());
  const rows = [...el.querySelectorAll<HTMLElement>('[data-hs="scrub-node"]')];
  expect(rows.map(({ dataset }) => dataset.name)).toEqual(["input", "a0.h1", "m0", "a1.h1"]);
  expect(rows.map((one) => one.querySelector(".hs-bar-number")?.textContent)).toEqual([
    "+20.0%",
    "+5.0%",
    "\u22124.0%",
    "+1.0%",
  ]);
  expect(menu(el, "m0").labels?.[0]?.textContent).toContain("answer");
  expect(menu(el, "a0.h1", "agrees-at").value).toBe("2");
  expect(part(row(el, "input"), "share").title).toBe(
    "If the embedding alone is not scrubbed, +20.0 per cent are recovered in addition [15.0, 25.0]",
  );
  expect(part(el, "scrub-others").textContent).toContain("0.0any datum+12.0%");
});

test("a menu explains each feature by the first datum", async () => {
  const { el } = await showCircuit(scrubTraits());
  expect(labels(menu(el, "m0"))).toEqual([
    "exact \u2014 about exact",
    "token \u2014 about token; of the first datum \u201c\u2423cat\u201d",
    "answer \u2014 about answer; of the first datum \u201c\u2423meows\u201d",
    "vowels \u2014 about vowels; of the first datum \u201c3\u201d",
    "anything \u2014 about anything",
  ]);
  expect(labels(menu(el, "a0.h1"))[1]).toContain("\u201c\u2423red\u201d");
  expect(labels(menu(el, "a0.h1", "agrees-at"))).toEqual([
    "last \u2014 the last token",
    "0 A",
    "1 \u2423red",
    "2 \u2423cat",
  ]);
});

test("a choice asks for the whole of what must agree, at once and one after another", async () => {
  const { el, sent } = await showCircuit(scrubTraits());
  const params = () => sent.filter(({ method }) => method === "scrub").at(-1)?.params;
  await choose(menu(el, "input"), 4);
  const options = {
    loss: "log_prob",
    sides: "clean",
    others: "together",
    unscrub: "hypothesis",
    samples: 2,
    seed: 0,
  };
  expect(params()).toEqual({ ...options, agree: { ...AGREE, input: "anything" } });
  await choose(menu(el, "a0.h1", "agrees-at"), 0);
  expect(params()).toEqual({ ...options, agree: { ...AGREE, input: "anything", "a0.h1": "token" } });
  await choose(menu(el, "m0"), 0);
  expect(params()?.agree).toEqual({ input: "anything", "a0.h1": "token" });
  await choose(part<HTMLSelectElement>(el, "others"), 1);
  expect(params()).toEqual({
    ...options,
    others: "separately",
    agree: { input: "anything", "a0.h1": "token" },
  });
});

test("a click on a node pins it, marks its row and goes to its menu; a head shows what it reads", async () => {
  const { el, model } = await showCircuit(scrubTraits());
  expect(node(el, "m0").dataset.agrees).toBe("feature");
  expect(node(el, "a1.h1").dataset.agrees).toBe("exact");
  expect(node(el, "logits").dataset.agrees).toBeUndefined();
  await click(node(el, "a1.h1"));
  expect(model.get("selection")).toEqual({ activation: "z", layer: 1, head: 1 });
  expect(row(el, "a1.h1").dataset.pinned).toBe("true");
  expect((el.getRootNode() as Document | ShadowRoot).activeElement).toBe(menu(el, "a1.h1"));
  expect(row(el, "a1.h1<k>").textContent).toContain("key");
  expect(row(el, "a1.h1<q>")).toBeNull();
  row(el, "m0").dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
  await settled();
  expect(model.get("selection")).toBeNull();
});

test("of what a head reads where no edge leads, exact is something that is said", async () => {
  const agree = { ...AGREE, "a1.h1<q>": "anything" };
  const outline = makeOutline({ nodes: ["input", "a0.h1", "m0", "a1.h1<q>", "a1.h1"] });
  const { el, sent } = await showCircuit(scrubTraits({ agree, outline }));
  await choose(menu(el, "a1.h1<q>"), 0);
  expect(sent.at(-1)?.params).toMatchObject({ agree: { ...AGREE, "a1.h1<q>": "exact" } });
});

test("the inspector shows whose text stood in, and what differs", async () => {
  const { el } = await showCircuit(scrubTraits());
  expect(part(el, "inspected").textContent).toBe("A\u2423red\u2423cat");
  expect(standIns(el)).toEqual([
    ["1.1", "its reader's datum", "1", "A\u2423red\u2423dog"],
    ["key", "its reader's datum", "1", "A\u2423red\u2423dog"],
    ["0.1", "token 1:  red", "1", "A\u2423red\u2423dog"],
    ["mlp 0", "answer:  barks", "1", "A\u2423red\u2423dog"],
    ["all others", "any datum", "1", "A\u2423red\u2423dog"],
  ]);
  const differs = [...part(el, "stand-ins").querySelectorAll('li:first-child [data-differs="true"]')];
  expect(differs.map(({ textContent }) => textContent)).toEqual(["\u2423dog"]);
  await click(part(el, "datum-next"));
  await click(part(el, "sample-next"));
  expect(part(el, "inspected").textContent).toBe("A\u2423red\u2423dog");
  expect(standIns(el)[0]).toEqual(["1.1", "its reader's datum", "0", "A\u2423red\u2423cat"]);
  await click(part(el, "drawn"));
  expect(standIns(el).map(([path]) => path)).toEqual([
    "0.1 \u2192 key \u2192 1.1 \u2192 logits",
    "mlp 0 \u2192 logits",
    "all others \u2192 logits",
  ]);
});

test("the inspector of a pinned node has each place where it is read", async () => {
  const { el } = await showCircuit(scrubTraits({ selection: { activation: "z", layer: 0, head: 1 } }));
  expect(standIns(el)).toEqual([
    ["0.1 \u2192 key \u2192 1.1 \u2192 logits", "token 1:  red", "1", "A\u2423red\u2423dog"],
  ]);
});

test("texts stay text", async () => {
  const tokens = ["<img src=x onerror=alert(1)>", "\u202e", "\n"];
  const hostile = makeScrubbing({ data: [0, 1, 2].map(() => ({ text: tokens.join(""), tokens })) });
  const { el } = await showCircuit(
    scrubTraits({ scrubbing: hostile, said: { answer: ["<b>", "<b>", "<b>"] } }),
  );
  expect(part(el, "inspected").querySelector("img")).toBeNull();
  expect(part(el, "inspected").textContent).toContain("<img src=x onerror=alert(1)>");
  expect(part(el, "stand-ins").textContent).toContain("answer: <b>");
});

test("a circuit that is too large offers the largest that fits", async () => {
  const outline = makeOutline({ problem: "Too many.", fits: 3, hypothesis: null, nodes: [] });
  const { el, model } = await showCircuit(scrubTraits({ outline, scrubbing: null }));
  expect(part(el, "refused").textContent).toContain("Too many.");
  expect(maybe(el, "run")).toBeNull();
  expect(part(el, "fits").textContent).toBe("Take the 3 largest edges");
  await click(part(el, "fits"));
  expect(model.get("edges")).toBe(3);
});

test("a hypothesis of its own says so, and goes back to the circuit", async () => {
  const { el, sent } = await showCircuit(scrubTraits({ hypothesis_edges: ["m0->logits"] }));
  expect(part(el, "own-hypothesis").textContent).toContain("A hypothesis of its own, 1 edge.");
  await click(part(el, "scrub-circuit"));
  expect(sent.at(-1)).toMatchObject({ method: "scrub_circuit", params: {} });
});

test("JSON is loaded from pasted text and from a file, and the field closes when it was taken", async () => {
  const { el, model, sent } = await showCircuit(scrubTraits());
  await click(part(el, "load-hypothesis"));
  const field = part<HTMLTextAreaElement>(el, "load-text");
  field.value = '{"edges": []}';
  field.dispatchEvent(new Event("input", { bubbles: true }));
  await settled();
  await click(part(el, "load-use"));
  expect(sent.at(-1)).toMatchObject({ method: "load_hypothesis", params: { text: '{"edges": []}' } });
  expect(maybe(el, "load-text")).not.toBeNull();
  const input = part<HTMLInputElement>(el, "load-file");
  Object.defineProperty(input, "files", { value: [new Blob(['{"edges": ["m0->logits"]}'])] });
  input.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
  await settled();
  expect(sent.at(-1)?.params).toEqual({ text: '{"edges": ["m0->logits"]}' });
  model.set("hypothesis_edges", ["m0->logits"]);
  await settled();
  expect(maybe(el, "load-text")).toBeNull();
});

test("without a kernel there are the bar, the shares and the inspector, and no menus", async () => {
  const { el } = await circuitWithoutKernel(scrubTraits());
  expect(words(el)).toContain("72.3%");
  expect(part(el, "params").textContent).toBe("log_prob, clean, together, hypothesis, samples 2, seed 0");
  for (const name of ["agrees", "load-hypothesis", "run", "edges"]) expect(maybe(el, name)).toBeNull();
  expect(row(el, "a0.h1").textContent).toContain("token 1");
  expect(part(el, "stand-ins").querySelectorAll("li")).toHaveLength(5);
  expect(part(el, "copy-hypothesis")).not.toBeNull();
});

test("without a kernel a tab that was never run is left out", async () => {
  const { el } = await circuitWithoutKernel(scrubTraits({ tab: "edges", scrubbing: null }));
  expect(maybe(el, "tab-scrubbing")).toBeNull();
});

test("the table has the bar and each share", () => {
  const state = new CircuitState(new MemoryModel(scrubTraits()));
  expect(scrubRows(state).slice(0, 6)).toEqual([
    ["run", "recovered", "low", "high"],
    ["model", "100", "", ""],
    ["scrubbed", "72.25", "68", "75.5"],
    ["best constant output", "31", "", ""],
    ["shuffled", "0", "", ""],
    ["share of input", "20", "15", "25"],
  ]);
  state.dispose();
});
