// The card of a node: what it reads and writes, its name, its examples, and its edges opened into heads.
import { expect, test } from "vitest";
import { firstShown } from "../../../js/panels/feature_graph/examples";
import { maybe, part, press, settled, unexplained } from "../helpers";
import { cardWithoutKernel, FEATURE, makeDescription, ODD, showCard, TOKEN } from "./shown_card";

const rows = (el: HTMLElement, name: string) =>
  [...part(el, name).querySelectorAll(".hs-bar-row")].map((row) => row.textContent);
const texts = (el: HTMLElement, name: string) => [...part(el, name).children].map((one) => one.textContent);

async function click(element: HTMLElement) {
  element.click();
  await settled();
}

async function type(field: HTMLInputElement | HTMLTextAreaElement, text: string) {
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  await settled();
}

async function choose(input: HTMLInputElement, file: File) {
  Object.defineProperty(input, "files", { value: [file], configurable: true });
  input.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
}

const HEADS = {
  source: TOKEN,
  target: FEATURE,
  edge: 1.5,
  direct: 0.5,
  heads: [
    [[0, 1], 1.25],
    [[1, 0], -0.5],
  ],
  others: 0.25,
};
const SIDE = { rows: [["0_3_1", 2]], others: -0.5, bias: 0.25 };
const SCORE = { layer: 0, head: 1, query: 2, key: 1, score: 1.75, of_query: SIDE, of_key: SIDE };

test("what a node reads, biases and what is not here sum to what it is", async () => {
  const { el, model } = await showCard();
  expect(rows(el, "reads")).toEqual(["token \u2423b+1.50", "biases+0.25", "nodes not shown here+0.25"]);
  expect(rows(el, "read-by")).toEqual(["\u2423Oslo (logit)+2.00"]);
  expect(part(el, "sum").textContent).toBe("All rows sum to 2.00; its pre-activation is 2.00 (gap 0.00).");
  await click(part(el, "reads").querySelector(".hs-bar-row") as HTMLElement);
  expect(model.get("pinned")).toBe(TOKEN);
});

test("tokens are shown as text, the strongest first, all of them on demand", async () => {
  const { el } = await showCard();
  expect(el.querySelector("img")).toBeNull();
  expect(texts(el, "writes").slice(0, 2)).toEqual([ODD, "\u2423w1"]);
  expect(texts(el, "writes")).toHaveLength(6);
  expect(maybe(el, "reads-against")).toBeNull();
  expect((part(el, "against").firstElementChild as HTMLElement).title).toContain("\u22128.00 to the logit");
  await click(part(el, "all-words"));
  expect(texts(el, "writes")).toHaveLength(8);
  expect(part(el, "note").textContent).toContain("Not divided");
  expect(unexplained(el)).toEqual([]);
});

test("examples are lines that show the strongest token, and open", async () => {
  const { el } = await showCard();
  const [first] = el.querySelectorAll<HTMLElement>('[data-hs="example"]');
  expect(first?.textContent).toBe("4.00\u2026\u2423here\u2423of\u2423Norway.");
  await click(first as HTMLElement);
  expect(first?.textContent).toContain("\u2423the first words");
  expect(part(el, "active").textContent).toBe(
    "Active at 3 of 1,200 tokens of 2 texts (0.3%); 9.50 at the token that begins every text, which does not count.",
  );
  expect(firstShown(["a", "b", "c"], 2)).toBe(0);
  expect(firstShown(["a".repeat(40), "b", "c"], 2)).toBe(1);
  expect(firstShown(["a"], 0)).toBe(0);
});

test("a feature that is never active is said to be so", async () => {
  const empty = makeDescription({
    examples: [],
    active: 0,
    counts: { dtype: "int32", shape: [0], data: "" },
    edges: { dtype: "float32", shape: [0], data: "" },
    at_start: null,
    warnings: ["Give other texts."],
  });
  const { el } = await showCard({ description: empty });
  expect(part(el, "active").textContent).toBe("Active nowhere in 1,200 tokens of 2 texts.");
  expect(part(el, "feature-warning").textContent).toBe("Give other texts.");
  expect([maybe(el, "histogram"), maybe(el, "examples")]).toEqual([null, null]);
});

test("a text is pasted or read from a file, if it is not too long", async () => {
  const { el, sent } = await showCard({
    description: makeDescription({ texts: 0, positions: 0, examples: [] }),
  });
  expect(part<HTMLTextAreaElement>(el, "texts-text").placeholder).toContain("Paste a text");
  expect(part<HTMLButtonElement>(el, "read-texts").disabled).toBe(true);
  await type(part(el, "texts-text"), "Oslo is <b>");
  await click(part(el, "read-texts"));
  expect(sent.at(-1)).toMatchObject({ method: "read_texts", params: { texts: ["Oslo is <b>"] } });
  await choose(part(el, "texts-file"), new File(["from a file"], "a.txt"));
  expect(sent.at(-1)).toMatchObject({ params: { texts: ["from a file"] } });
  const long = "\u8a9e".repeat(1_000_000); // three million bytes, of which none is cut off
  await choose(part(el, "texts-file"), new File([long], "a.txt"));
  expect(sent.at(-1)).toMatchObject({ params: { texts: [long] } });
});

test("a file that is too long is refused in a sentence", async () => {
  const { el, sent } = await showCard({
    description: makeDescription({ texts: 0, positions: 0, examples: [] }),
  });
  await choose(part(el, "texts-file"), new File(["x".repeat(2_000_001)], "a.txt"));
  expect([part(el, "texts-problem").textContent?.slice(0, 16), sent]).toEqual(["This is too long", []]);
});

test("other texts can be read, or none; a stopped reading can be done again", async () => {
  const partial = makeDescription({ provenance: { complete: false } });
  const { el, sent, model } = await showCard({ description: partial, status: "running" });
  await click(part(el, "cancel-texts"));
  expect(sent.at(-1)?.method).toBe("cancel");
  model.set("status", "done");
  await settled();
  await click(part(el, "read-again"));
  expect(sent.at(-1)?.method).toBe("run_again");
  await click(part(el, "other-texts"));
  expect(part(el, "texts-text")).toBeTruthy();
  await click(part(el, "no-texts"));
  expect(sent.at(-1)).toMatchObject({ method: "read_texts", params: { texts: [] } });
});

test("Enter gives a name, once, and Escape gives it up", async () => {
  const { el, sent, model } = await showCard();
  const field = part<HTMLInputElement>(el, "feature-name");
  await type(field, "nonsense");
  press(field, "Escape");
  await settled();
  expect([field.value, sent]).toEqual(["", []]);
  await type(field, " say a capital ");
  press(field, "Enter");
  expect(sent.at(-1)).toMatchObject({
    method: "name_feature",
    params: { layer: 1, feature: 40, name: "say a capital" },
  });
  model.set("names", { "1/40": "say a capital" });
  await settled();
  field.dispatchEvent(new FocusEvent("blur"));
  expect(sent).toHaveLength(1);
  expect(part(el, "card-title").textContent).toContain("say a capital: feature 40");
  await choose(part(el, "names-file"), new File(['{"1/40": "x"}'], "names.json"));
  expect(sent.at(-1)).toMatchObject({ method: "read_names", params: { text: '{"1/40": "x"}' } });
});

test("an edge opens into heads, and a head into what made it look there", async () => {
  const { el, sent, model } = await showCard({ names: { "0/3": "Norway" } });
  await click(part(el, "open-heads"));
  expect(sent.at(-1)).toMatchObject({ method: "open_edge", params: { source: TOKEN, target: FEATURE } });
  model.set("edge", { source: TOKEN, target: FEATURE });
  await settled();
  expect(part(el, "heads-wait").textContent).toContain("Telling");
  model.set("heads", HEADS);
  await settled();
  expect(rows(el, "edge-heads")).toEqual([
    "head 0.1+1.25",
    "head 1.0\u22120.50",
    "through no head+0.50",
    "other heads+0.25",
  ]);
  await click(part(el, "edge-heads").querySelector(".hs-bar-row") as HTMLElement);
  expect(sent.at(-1)?.params).toEqual({ source: TOKEN, target: FEATURE, head: [0, 1] });
  model.set("edge", { source: TOKEN, target: FEATURE, head: [0, 1] });
  model.set("score", SCORE);
  await settled();
  expect(part(el, "score").textContent).toContain(`looks from ${ODD} (2) at \u2423b (1): score 1.75`);
  expect(rows(el, "of-key")).toEqual(["Norway @ \u2423b+2.00", "biases+0.25", "other nodes\u22120.50"]);
  await click(part(el, "open-heads"));
  expect(sent.at(-1)?.method).toBe("close_edge");
});

test("what went wrong with heads is said where they would be", async () => {
  const { el } = await showCard({
    edge: { source: TOKEN, target: FEATURE },
    error: { message: "The scores are not linear." },
  });
  expect(part(el, "heads-wait").textContent).toBe("The scores are not linear.");
});

test("a saved page shows all of it and asks for nothing", async () => {
  const { el } = await cardWithoutKernel({
    edge: { source: TOKEN, target: FEATURE, head: [0, 1] },
    heads: HEADS,
    score: SCORE,
    names: { "1/40": "capital" },
  });
  expect(rows(el, "edge-heads")[0]).toContain("head 0.1");
  expect(part(el, "score").textContent).toContain("Wrote its query");
  expect(part(el, "card-title").textContent).toContain("capital");
  expect(part(el, "examples").querySelectorAll("li")).toHaveLength(2);
  for (const name of ["feature-name", "other-texts", "texts-text", "toggle-subgraph", "reading"])
    expect(maybe(el, name)).toBeNull();
});
