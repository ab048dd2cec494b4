// Changes of features in the model: how they are written, what is asked for, and what is said of their effects.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  amountWords,
  type Change,
  positionWords,
  readAmount,
  readPositions,
  withChange,
} from "../../../js/panels/feature_graph/change_list";
import { arrayJson, maybe, part, settled } from "../helpers";
import { cardWithoutKernel, FEATURE, showCard } from "./shown_card";

describe("how changes are written", () => {
  test("any positions and amounts are read as they are written", () => {
    const positions = fc.uniqueArray(fc.integer({ min: 0, max: 29 }), { minLength: 1 });
    fc.assert(
      fc.property(positions, (some) => {
        const sorted = some.sort((a, b) => a - b);
        expect(readPositions(positionWords(sorted), 30)).toEqual(sorted);
      }),
    );
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
    ["", "here"],
    [" Here ", "here"],
    ["everywhere", "all"],
    ["0, 2-4", [0, 2, 3, 4]],
    ["3 1 1", [1, 3]],
  ])("positions %j", (text, read) => {
    expect(readPositions(text, 5)).toEqual(read);
  });

  test.each(["5", "-1", "4-2", "1.5", "a", "0,5"])("no positions %j", (text) => {
    expect(readPositions(text, 5)).toEqual({ wrong: expect.stringContaining("positions from 0 to 4") });
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
  info: {
    model: { name: "tiny" },
    frozen: [
      { name: "nothing", label: "nothing" },
      { name: "attention", label: "attention" },
    ],
    generate: { name: "generate", label: "generate", type: "integer", minimum: 0 },
    temperature: { name: "temperature", label: "temperature", type: "number" },
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

test("fields say what is wrong, and change one row", async () => {
  const { el, sent } = await showCard(CHANGED);
  const field = (name: string) => part<HTMLInputElement>(el, name);
  const put = async (name: string, text: string) => {
    field(name).value = text;
    field(name).dispatchEvent(new Event("change", { bubbles: true }));
    await settled();
  };
  await put("positions", "9");
  expect(part(el, "complaint").textContent).toContain("positions from 0 to 2");
  expect(lastAsked(sent)).toBeUndefined();
  await put("positions", "0-1");
  expect(lastAsked(sent)).toMatchObject({ changes: [{ node: FEATURE, scale: 0, positions: [0, 1] }] });
  await put("amount", "=2.5");
  expect(lastAsked(sent)).toMatchObject({ changes: [{ node: FEATURE, value: 2.5, positions: [0, 1] }] });
  part(el, "reset-changes").click();
  expect(lastAsked(sent)).toMatchObject({ changes: [] });
});

test("a gesture builds on one that Python has not taken yet, and not on one that it refused", async () => {
  const { el, sent, model, answer } = await showCard(CHANGED);
  const enter = async (name: string, text: string) => {
    part<HTMLInputElement>(el, name).value = text;
    part(el, name).dispatchEvent(new Event("change", { bubbles: true }));
    await settled();
    return sent.at(-1);
  };
  const first = await enter("positions", "all");
  const second = await enter("amount", "\u00d7-9");
  expect(lastAsked(sent)).toMatchObject({ changes: [{ node: FEATURE, scale: -9, positions: "all" }] });
  // The traits of the first arrive before the second is accepted.
  answer("accepted", first);
  model.set("changes", [{ node: FEATURE, scale: 0, positions: "all" }]);
  await settled();
  part(el, "change-invert").click();
  expect(lastAsked(sent)).toMatchObject({ changes: [{ node: FEATURE, scale: -1, positions: "all" }] });
  const third = sent.at(-1);
  answer("error", second);
  answer("accepted", third);
  answer("error", third);
  await enter("positions", "1");
  expect(lastAsked(sent)).toMatchObject({ changes: [{ node: FEATURE, scale: 0, positions: [1] }] });
});

test("a saved page shows the effects, and asks for none", async () => {
  const { el } = await cardWithoutKernel(CHANGED);
  expect(part(el, "change-rows").textContent).toContain("\u00d70 at here");
  expect(part(el, "effects").querySelectorAll("tbody tr")).toHaveLength(4);
  expect(maybe(el, "change-off")).toBeNull();
  expect(maybe(el, "reset-changes")).toBeNull();
});
