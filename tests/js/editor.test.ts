import { afterEach, beforeEach, expect, test, vi } from "vitest";
import promptPairEditor from "../../js/panels/prompt_pair_editor";
import {
  editorTraits,
  FRANCE,
  ITALY,
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

/** Enough for a frame, too little for the debounce. */
const draw = () => vi.advanceTimersByTimeAsync(50);
const rest = () => vi.advanceTimersByTimeAsync(120);

async function show(traits: Record<string, unknown> = {}, views = 1) {
  const kernel = modelWithKernel(editorTraits(traits));
  const mounted = mountWidget(promptPairEditor, kernel.model, views);
  cleanup = mounted.cleanup;
  await draw();
  return { ...kernel, ...mounted };
}

const textIn = (el: HTMLElement, name: string) => part<HTMLTextAreaElement>(el, `input-${name}`).value;

test("typing is sent once it rests", async () => {
  const { el, sent } = await show();
  write(el, "clean", "The");
  await draw();
  write(el, "clean", "The capital");
  await draw();
  expect(sent).toEqual([]);
  await rest();
  expect(sent.map(({ method, params }) => [method, params])).toEqual([
    ["edit", { pair: { ...PAIR, clean: "The capital" } }],
  ]);
});

test("the echo of older typing does not overwrite what was typed since", async () => {
  const { el, model, sent } = await show();
  write(el, "clean", "The cap");
  await rest();
  write(el, "clean", "The capital of Rome");
  model.set("pair", sent[0]?.params.pair);
  await draw();
  expect(textIn(el, "clean")).toBe("The capital of Rome");
  await rest();
  expect(sent.at(-1)?.params.pair).toEqual({ ...PAIR, clean: "The capital of Rome" });
});

test("echoes that come late, after the newest was sent, overwrite nothing either", async () => {
  const { el, model, sent } = await show();
  write(el, "clean", "a");
  await rest();
  write(el, "clean", "ab");
  await rest();
  model.set("pair", sent[0]?.params.pair);
  await draw();
  expect(textIn(el, "clean")).toBe("ab");
});

test("a change made in Python fills the fields, and can be undone", async () => {
  const { el, model } = await show();
  model.set("pair", FRANCE);
  await draw();
  expect(textIn(el, "clean")).toBe(FRANCE.clean);
  expect(textIn(el, "clean_answer")).toBe(" Paris");
  part(el, "undo").click();
  await draw();
  expect(textIn(el, "clean")).toBe(PAIR.clean);
});

test("typing under way loses nothing to a change made in Python", async () => {
  const { el, model, sent } = await show();
  write(el, "clean", "half a wo");
  model.set("pair", FRANCE);
  await draw();
  expect(textIn(el, "clean")).toBe("half a wo");
  await rest();
  expect(sent.at(-1)?.params.pair).toEqual({ ...PAIR, clean: "half a wo" });
});

test("what was sent and never came back can still be set by Python later", async () => {
  const { el, model, sent, answer } = await show();
  part(el, "swap").click();
  await draw();
  part(el, "undo").click();
  // The kernel skips the swapped pair for the newer one, which is what the trait holds: nothing comes back.
  answer("result");
  model.set("pair", sent[0]?.params.pair);
  await draw();
  expect(textIn(el, "clean")).toBe(PAIR.corrupt);
});

test("one burst of typing is one step of undo, and redo brings it back", async () => {
  const { el, sent } = await show();
  write(el, "clean", "T");
  write(el, "clean", "Th");
  await rest();
  press(part(el, "input-clean"), "z", { ctrlKey: true });
  await draw();
  expect(textIn(el, "clean")).toBe(PAIR.clean);
  expect(sent.at(-1)?.params.pair).toEqual(PAIR);
  press(part(el, "input-clean"), "z", { ctrlKey: true, shiftKey: true });
  await draw();
  expect(textIn(el, "clean")).toBe("Th");
});

test("undo during typing goes back to before the typing", async () => {
  const { el } = await show();
  write(el, "clean", "half a w");
  const event = press(part(el, "input-clean"), "z", { metaKey: true });
  expect(event.defaultPrevented).toBe(true);
  await rest();
  expect(textIn(el, "clean")).toBe(PAIR.clean);
});

test("a new step after undo forgets what could be redone", async () => {
  const { el } = await show();
  part(el, "swap").click();
  await draw();
  part(el, "undo").click();
  await draw();
  expect(part<HTMLButtonElement>(el, "redo").disabled).toBe(false);
  write(el, "clean", "new");
  await rest();
  expect(part<HTMLButtonElement>(el, "redo").disabled).toBe(true);
});

test("a template fills both prompts and answers at once, and the next one when chosen again", async () => {
  const { el, sent } = await show();
  part(el, "template-capitals").click();
  await draw();
  expect(sent.map(({ params }) => params.pair)).toEqual([FRANCE]);
  expect(textIn(el, "clean_answer")).toBe(" Paris");
  part(el, "template-capitals").click();
  part(el, "template-capitals").click();
  expect(sent.map(({ params }) => params.pair)).toEqual([FRANCE, ITALY, FRANCE]);
});

test("swap exchanges prompts and answers", async () => {
  const { el, sent } = await show();
  part(el, "swap").click();
  expect(sent[0]?.params.pair).toEqual({
    clean: PAIR.corrupt,
    corrupt: PAIR.clean,
    clean_answer: " Stockholm",
    corrupt_answer: " Oslo",
    score_first_token: false,
    alignment: null,
  });
});

test("a box says whether both prompts begin with the beginning-of-text token, and chooses it", async () => {
  const bos = { token: "<bos>", default: true, by: "TransformerLens" };
  const info = { templates: [], model: { bos } };
  const { el, model, sent } = await show({ info });
  const box = part<HTMLInputElement>(el, "prepend-bos");
  expect(box.checked).toBe(true);
  expect(box.closest("label")?.textContent).toContain("<bos>");
  expect(box.closest("label")?.title).toContain("TransformerLens puts it in front of every prompt");
  box.click();
  expect(sent.at(-1)?.params.pair).toEqual({ ...PAIR, prepend_bos: false });
  box.click();
  expect(sent.at(-1)?.params.pair).toEqual({ ...PAIR, prepend_bos: null }); // as the model does
  model.set("info", { templates: [], model: { bos: null } });
  await draw();
  expect(maybe(el, "prepend-bos")).toBeNull();
});

test("Enter sends at once and makes no new line", async () => {
  const { el, sent } = await show();
  write(el, "clean", "now");
  expect(press(part(el, "input-clean"), "Enter").defaultPrevented).toBe(true);
  expect(sent).toHaveLength(1);
});

test("two views of one model share one draft", async () => {
  const { els } = await show({}, 2);
  write(els[0] as HTMLElement, "clean", "shared");
  await draw();
  expect(textIn(els[1] as HTMLElement, "clean")).toBe("shared");
});

test("unfinished typing is sent when the model goes", async () => {
  const { el, sent, cleanup: close } = await show();
  write(el, "clean", "last words");
  cleanup = () => {};
  close();
  expect(sent.at(-1)?.params.pair).toEqual({ ...PAIR, clean: "last words" });
});

test("a token selects its position, position 0 too, and clears it when pressed again", async () => {
  const { el, model } = await show();
  const chip = () => part(el, "tokens-corrupt").querySelectorAll<HTMLButtonElement>("button")[0];
  chip()?.click();
  expect(model.get("selection")).toEqual({ position: 0, side: "clean" });
  await draw();
  expect(chip()?.getAttribute("aria-pressed")).toBe("true");
  chip()?.click();
  expect(model.get("selection")).toBeNull();
});

test("tokens that differ are marked in both rows, and gaps stay in their place", async () => {
  const traits = editorTraits().tokens as Record<string, unknown>;
  const columns = [
    { clean: 0, corrupt: 0, same: true },
    { clean: 1, corrupt: null, same: false },
    { clean: 2, corrupt: 1, same: false },
  ];
  const { el } = await show({ tokens: { ...traits, columns } });
  const classes = (name: string) => [...part(el, name).children].map((chip) => chip.className);
  expect(classes("tokens-clean")[1]).toContain("hs-tone-clean");
  expect(classes("tokens-corrupt")[1]).toContain("hs-chip-gap");
  const widths = (name: string) =>
    [...part(el, name).children].map((chip) => (chip as HTMLElement).style.minWidth);
  expect(widths("tokens-clean")).toEqual(widths("tokens-corrupt"));
});

test("an error is tied to its field, and its fix is one click", async () => {
  const traits = editorTraits().tokens as Record<string, unknown>;
  const fixed = { ...PAIR, clean: "fixed" };
  const warning = {
    code: "trailing_space",
    field: "clean",
    level: "error",
    message: "The clean prompt ends in a space.",
    fix: { label: "Remove the space", pair: fixed },
  };
  const { el, sent } = await show({ tokens: { ...traits, warnings: [warning] } });
  const field = part(el, "input-clean");
  expect(field.getAttribute("aria-invalid")).toBe("true");
  const described = el.querySelector(`[id="${field.getAttribute("aria-describedby")}"]`);
  expect(described?.textContent).toContain("Error: The clean prompt ends in a space.");
  expect(part(el, "input-corrupt").getAttribute("aria-invalid")).toBe("false");
  part(el, "fix").click();
  expect(sent[0]?.params.pair).toEqual(fixed);
});

const RUN = topJson([1], [3], [0.5]);
const READING = {
  pair: PAIR,
  metric: "logit_diff",
  label: "logit difference, Oslo \u2212 Stockholm",
  baselines: { clean: 9.12, corrupt: -8.75 },
  top_runs: { clean: RUN, corrupt: RUN },
  tokens: { "1": " Oslo" },
};

test("a likely token becomes the answer of the prompt that it follows", async () => {
  const { el, sent } = await show({ reading: READING });
  expect(maybe(el, "answer-clean")).toBeNull(); // it is the answer
  part(el, "answer-corrupt").click();
  expect(sent.at(-1)?.params.pair).toEqual({ ...PAIR, corrupt_answer: " Oslo" });
  await draw();
});

test("a reading of another pair is stale", async () => {
  const { el } = await show({ reading: READING });
  expect(part(el, "reading").dataset.stale).toBe("false");
  expect(part(el, "reading").textContent).toContain("\u22128.75");
  write(el, "clean", "other");
  await draw();
  expect(part(el, "reading").dataset.stale).toBe("true");
});

test("the choice of scoring first tokens shows only where an answer has several", async () => {
  const { el, model, sent } = await show();
  expect(maybe(el, "score-first-token")).toBeNull();
  const tokens = model.get("tokens") as Record<string, unknown>;
  model.set("tokens", { ...tokens, clean_answer: { ids: [1, 2], tokens: [" Os", "lo"] } });
  await draw();
  part(el, "score-first-token").click();
  expect(sent.at(-1)?.params.pair).toEqual({ ...PAIR, score_first_token: true });
});

test("before the tokenizer has run the fields can be written in", async () => {
  const { el, sent } = await show({ tokens: {} });
  expect(part(el, "subtitle").textContent).toBe("");
  write(el, "clean", "first");
  await rest();
  expect(sent).toHaveLength(1);
});

test("waiting for the kernel is said and unsaid", async () => {
  const { el, answer } = await show();
  part(el, "swap").click();
  await vi.advanceTimersByTimeAsync(500);
  expect(part(el, "waiting").textContent).toBe("Waiting for the running cell to finish");
  answer("accepted");
  await draw();
  expect(maybe(el, "waiting")).toBeNull();
});

test("everything that listened to the model is gone after cleanup", async () => {
  const kernel = modelWithKernel(editorTraits());
  const on = vi.spyOn(kernel.model, "on");
  const off = vi.spyOn(kernel.model, "off");
  const mounted = mountWidget(promptPairEditor, kernel.model, 2);
  await draw();
  mounted.cleanup();
  await draw();
  expect(on.mock.calls.length).toBeGreaterThan(0);
  const names = (calls: unknown[][]) => calls.map(([event]) => String(event)).sort();
  expect(names(off.mock.calls)).toEqual(names(on.mock.calls));
});
