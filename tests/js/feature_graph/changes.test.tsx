// Changes of features in the model: how they are written, what is asked for, and what is said of their effects.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  amountWords,
  type Change,
  positionWords,
  readAmount,
  withChange,
} from "../../../js/panels/feature_graph/change_list";
import { arrayJson, maybe, part, settled } from "../helpers";
import { cardWithoutKernel, FEATURE, showCard } from "./shown_card";

describe("how changes are written", () => {
  test("any amount is read as it is written", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), (number, sets) => {
        const plain = number === 0 ? 0 : number;
        const change = sets ? { node: "a", value: plain } : { node: "a", scale: plain };
        const { node, ...amount } = change;
        expect(readAmount(amountWords(change))).toEqual(amount);
      }),
    );
  });

  test.each([
    [undefined, "here"],
    ["here", "here"],
    ["all", "everywhere"],
    [[0, 2], "at 0, 2"],
  ] as const)("positions %j", (positions, words) => {
    expect(positionWords(positions as Change["positions"])).toBe(words);
  });

  test.each(["", "a", "=", "×", "1 2", "1e999", "--1", "="])("no amount %j", (text) => {
    expect(readAmount(text)).toBeNull();
  });

  test("a further change of a node takes the place of its first", () => {
    const changes: Change[] = [
      { node: "a", scale: 0 },
      { node: "b", value: 1 },
    ];
    expect(withChange(changes, { node: "a", value: 3 })).toEqual([{ node: "a", value: 3 }, changes[1]]);
    expect(withChange(changes, { node: "c", scale: 2 })).toHaveLength(3);
    expect(withChange(changes, { node: "a", positions: "all" })[0]).toEqual({
      node: "a",
      scale: 0,
      positions: "all",
    });
  });
});

const floats = (data: number[]) => arrayJson("float32", [data.length], data);
const EFFECTS = {
  schema_version: 1,
  method: "feature_interventions",
  id: "effects-1",
  params: {},
  tokens: arrayJson("int32", [4], [5, 6, 7, 8]),
  texts: [" Oslo", " Rome", " Bergen", " x"],
  before: floats([0.9, 0.05, 0.04, 0.01]),
  after: floats([0.5, 0.3, 0.1, 0.1]),
  measured: floats([-2, 1, 0.5, 3]),
  predicted: floats([-1, 0.5, 0.25, Number.NaN]),
  activations: arrayJson("float32", [1, 2], [2, 0]),
  without: [" Oslo", "."],
  with_changes: [" Rome", "."],
  warnings: [],
};
const CHANGED = {
  changes: [{ node: FEATURE, scale: 0, positions: "here" }],
  effects: EFFECTS,
  frozen: "nothing",
  generate: 2,
  temperature: 0,
  seed: 0,
  info: {
    model: { name: "tiny" },
    frozen: [
      { name: "nothing", label: "nothing" },
      { name: "attention", label: "attention" },
    ],
    generate: { name: "generate", label: "generate", type: "integer", minimum: 0 },
    temperature: { name: "temperature", label: "temperature", type: "number" },
    seed: { name: "seed", label: "seed", type: "integer", least: 0 },
  },
};
const lastAsked = (sent: { method: string; params: unknown }[]) =>
  sent.filter(({ method }) => method === "intervene").at(-1)?.params;

test("a click switches the pinned feature off, with all else as it is", async () => {
  const { el, sent } = await showCard({ ...CHANGED, changes: [], effects: null });
  part(el, "change-off").click();
  await settled();
  expect(lastAsked(sent)).toEqual({
    changes: [{ node: FEATURE, scale: 0 }],
    frozen: "nothing",
    generate: 2,
    temperature: 0,
    seed: 0,
  });
  expect(maybe(el, "effects")).toBeNull();
});

test("what was measured is beside what the graph predicts", async () => {
  const { el } = await showCard(CHANGED);
  expect(part(el, "effects-said").textContent).toContain(
    "The graph predicted \u22121.00 for the logit of \u2423Oslo; the model did \u22122.00. Of the 3 tokens that it explains, 3 moved the way it says; the correlation is 1.00.",
  );
  const cells = [...part(el, "effects").querySelectorAll("tbody tr")].map((row) =>
    [...row.children].slice(0, 5).map((cell) => cell.textContent),
  );
  expect(cells[0]).toEqual(["\u2423Oslo", "90%", "50%", "\u22122.00", "\u22121.00"]);
  expect(cells[3]).toEqual(["\u2423x", "1.0%", "10%", "+3.00", "\u2013"]);
  expect(part(el, "generated-with").querySelector(".hs-fg-differs")?.textContent).toBe("\u2423Rome");
});

/** Types, drags or chooses, and gives the request that this sends. */
async function enter({ el, sent }: Awaited<ReturnType<typeof showCard>>, name: string, value: string) {
  const field = part<HTMLInputElement>(el, name);
  field.value = value;
  field.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
  return sent.at(-1);
}
const EVERYWHERE = "1";
const AT_TOKENS = "2";

test("a change is written, dragged, and put at tokens by clicks", async () => {
  const card = await showCard(CHANGED);
  const { el, sent, model } = card;
  await enter(card, "amount", "much");
  expect(part(el, "complaint").textContent).toContain("Write a factor");
  expect(lastAsked(sent)).toBeUndefined();
  await enter(card, "factor", "-1.5");
  expect(lastAsked(sent)).toMatchObject({ changes: [{ node: FEATURE, scale: -1.5, positions: "here" }] });
  await enter(card, "where", AT_TOKENS);
  expect(lastAsked(sent)).toMatchObject({ changes: [{ node: FEATURE, scale: -1.5, positions: [2] }] });
  model.set("changes", [{ node: FEATURE, scale: -1.5, positions: [2] }]);
  await settled();
  const tokens = [...part(el, "where-tokens").querySelectorAll("button")];
  expect(tokens.map((token) => token.getAttribute("aria-pressed"))).toEqual(["false", "false", "true"]);
  tokens[0]?.click();
  expect(lastAsked(sent)).toMatchObject({ changes: [{ scale: -1.5, positions: [0, 2] }] });
  await enter(card, "amount", "=2.5");
  expect(lastAsked(sent)).toMatchObject({ changes: [{ node: FEATURE, value: 2.5, positions: [0, 2] }] });
  model.set("changes", [{ node: FEATURE, value: 2.5, positions: [2] }]);
  await settled();
  expect(maybe(el, "factor")).toBeNull();
  part(el, "where-tokens").querySelectorAll("button")[2]?.click();
  await settled();
  part(el, "reset-changes").click();
  expect(lastAsked(sent)).toMatchObject({ changes: [] });
});

test("without its last token, a change is where its node is", async () => {
  const card = await showCard({ ...CHANGED, changes: [{ node: FEATURE, scale: 0, positions: [1] }] });
  part(card.el, "where-tokens").querySelectorAll("button")[1]?.click();
  expect(lastAsked(card.sent)).toMatchObject({ changes: [{ node: FEATURE, scale: 0, positions: "here" }] });
  expect(document.activeElement).toBe(part(card.el, "where"));
});

test("a node that is changed is not offered again, and a seed where tokens are drawn", async () => {
  const { el, model, sent } = await showCard(CHANGED);
  expect(maybe(el, "change-off")).toBeNull();
  expect(maybe(el, "seed")).toBeNull();
  model.set("temperature", 0.5);
  await settled();
  const field = part<HTMLInputElement>(el, "seed");
  field.value = "7";
  field.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
  expect(lastAsked(sent)).toMatchObject({ temperature: 0.5, seed: 7 });
});

test("a gesture builds on one that Python has not taken yet, and not on one that it refused", async () => {
  const card = await showCard(CHANGED);
  const { sent, model, answer } = card;
  const first = await enter(card, "where", EVERYWHERE);
  const second = await enter(card, "amount", "\u00d7-9");
  expect(lastAsked(sent)).toMatchObject({ changes: [{ node: FEATURE, scale: -9, positions: "all" }] });
  // The traits of the first arrive before the second is accepted.
  answer("accepted", first);
  model.set("changes", [{ node: FEATURE, scale: 0, positions: "all" }]);
  await settled();
  const third = await enter(card, "factor", "-1");
  expect(lastAsked(sent)).toMatchObject({ changes: [{ node: FEATURE, scale: -1, positions: "all" }] });
  answer("error", second);
  answer("accepted", third);
  answer("error", third);
  await enter(card, "amount", "=1");
  expect(lastAsked(sent)).toEqual({
    changes: [{ node: FEATURE, value: 1, positions: "all" }],
    frozen: "nothing",
    generate: 2,
    temperature: 0,
    seed: 0,
  });
  const fourth = sent.at(-1);
  answer("accepted", fourth);
  answer("error", fourth);
  await enter(card, "factor", "3");
  expect(lastAsked(sent)).toMatchObject({ changes: [{ node: FEATURE, scale: 3, positions: "all" }] });
});

test("a saved page shows the effects, and asks for none", async () => {
  const { el } = await cardWithoutKernel(CHANGED);
  expect(part(el, "change-rows").textContent).toContain("\u00d70 here");
  expect(part(el, "effects").querySelectorAll("tbody tr")).toHaveLength(4);
  expect(maybe(el, "change-off")).toBeNull();
  expect(maybe(el, "reset-changes")).toBeNull();
});
