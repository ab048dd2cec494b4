import { afterEach, beforeEach, expect, test, vi } from "vitest";
import promptPairEditor from "../../js/panels/prompt_pair_editor";
import { answerOf, textOf } from "../../js/panels/prompt_pair_editor/answers";
import {
  editorTraits,
  maybe,
  modelWithKernel,
  mountWidget,
  PAIR,
  part,
  press,
  topJson,
  write,
} from "./helpers";

let cleanup = () => {};
beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  cleanup = () => {};
  vi.useRealTimers();
});

async function show(change: Record<string, unknown> = {}) {
  const kernel = modelWithKernel(editorTraits(change));
  const mounted = mountWidget(promptPairEditor, kernel.model);
  cleanup = mounted.cleanup;
  await vi.advanceTimersByTimeAsync(50);
  const answer = () => (kernel.sent.at(-1)?.params.pair as typeof PAIR | undefined)?.clean_answer;
  return { ...kernel, ...mounted, answer };
}
const rest = () => vi.advanceTimersByTimeAsync(150);
const SET = { ...PAIR, clean_answer: [" he", " him"] };
const groups = (el: HTMLElement, name: string) =>
  [...part(el, `tokens-${name}`).children].map((group) =>
    [...group.children].map((chip) => chip.textContent),
  );

function withAnswer(tokens: string[], starts?: number[]) {
  const shown = editorTraits().tokens as Record<string, unknown>;
  return { ...shown, clean_answer: { ids: tokens.map((_, i) => i), tokens, starts } };
}

test.each([
  [" Oslo", " Oslo"],
  ["", ""],
  ["\n", "\n"],
  [" he\n", " he\n"],
  [" he\n him", [" he", " him"]],
  ["\n he\n\n him\n", [" he", " him"]],
])("%j is the answer %j", (text, answer) => {
  expect(answerOf(text)).toEqual(answer);
});

test("a set reads back from its text", () => {
  expect(answerOf(textOf([" a", " b", " c"]))).toEqual([" a", " b", " c"]);
});

test("a set is written one answer a line, the line that is still empty included", async () => {
  const { el, answer } = await show();
  const text = () => part<HTMLTextAreaElement>(el, "input-clean_answer").value;
  write(el, "clean_answer", " he\n him");
  await rest();
  expect(answer()).toEqual([" he", " him"]);
  write(el, "clean_answer", " he\n him\n");
  await rest();
  expect(answer()).toEqual([" he", " him"]);
  expect(text()).toBe(" he\n him\n");
  part(el, "undo").click();
  await rest();
  expect(text()).toBe(" Oslo");
});

test("a set that Python gives fills the field", async () => {
  const { el, model } = await show();
  model.set("pair", SET);
  await rest();
  expect(part<HTMLTextAreaElement>(el, "input-clean_answer").value).toBe(" he\n him");
});

test("the echo of a set is no change", async () => {
  const { el, model, sent } = await show();
  write(el, "clean_answer", " he\n him");
  await rest();
  model.set("pair", structuredClone(sent[0]?.params.pair));
  write(el, "clean_answer", " he\n him\n her");
  model.set("pair", structuredClone(sent[0]?.params.pair));
  await rest();
  expect(part<HTMLTextAreaElement>(el, "input-clean_answer").value).toBe(" he\n him\n her");
});

test("each answer's tokens stand together", async () => {
  const { el } = await show({ pair: SET, tokens: withAnswer([" h", "e", " him"], [0, 2]) });
  expect(groups(el, "clean_answer")).toEqual([["\u2423h", "e"], ["\u2423him"]]);
});

test("without `starts` there is one answer, and without tokens none", async () => {
  const { el, model } = await show({ tokens: withAnswer([" Os", "lo"]) });
  expect(groups(el, "clean_answer")).toEqual([["\u2423Os", "lo"]]);
  model.set("tokens", withAnswer([], []));
  await rest();
  expect(groups(el, "clean_answer")).toEqual([]);
});

test("several answers of one token leave nothing to choose about first tokens", async () => {
  const { el, model } = await show({ pair: SET, tokens: withAnswer([" he", " him"], [0, 1]) });
  expect(maybe(el, "score-first-token")).toBeNull();
  model.set("tokens", withAnswer([" h", "e", " him"], [0, 2]));
  await rest();
  expect(maybe(el, "score-first-token")).not.toBeNull();
});

test("every answer of a set has its side's colour in the reading", async () => {
  const run = topJson([1, 2, 3], [3, 2, 1], [0.5, 0.3, 0.2]);
  const reading = {
    pair: SET,
    metric: "logit_diff",
    label: "",
    baselines: { clean: 1, corrupt: 0 },
    top_runs: { clean: run, corrupt: run },
    tokens: { "1": " him", "2": " Stockholm", "3": " he" },
  };
  const { el } = await show({ pair: SET, reading });
  const tones = [...part(el, "top-clean").querySelectorAll("i")].map((bar) => bar.className);
  expect(tones).toEqual(["hs-fill-clean", "hs-fill-corrupt", "hs-fill-clean"]);
});

test("a note is neither an error nor a warning", async () => {
  const note = { code: "unequal_lengths", field: null, level: "note", message: "6 and 7 tokens.", fix: null };
  const tokens = { ...(editorTraits().tokens as object), warnings: [note] };
  const { el } = await show({ tokens });
  expect(part(el, "note").textContent).toContain("Note: 6 and 7 tokens.");
  expect(part(el, "input-clean").getAttribute("aria-invalid")).toBe("false");
});

test("Shift and Enter break the line by themselves, for a host may keep browsers from it", async () => {
  const { el, answer } = await show();
  const field = part<HTMLTextAreaElement>(el, "input-clean_answer");
  field.setSelectionRange(5, 5);
  expect(press(field, "Enter", { shiftKey: true }).defaultPrevented).toBe(true);
  await rest();
  expect(field.value).toBe(" Oslo\n");
  write(el, "clean_answer", `${field.value} Bergen`);
  await rest();
  expect(answer()).toEqual([" Oslo", " Bergen"]);
});
