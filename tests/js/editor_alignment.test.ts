import { afterEach, expect, test, vi } from "vitest";
import promptPairEditor from "../../js/panels/prompt_pair_editor";
import { MemoryModel } from "../../js/report/memory_model";
import {
  CORRUPT,
  editorTraits,
  maybe,
  modelWithKernel,
  mountWidget,
  PAIR,
  part,
  press,
  settled,
  write,
} from "./helpers";

let cleanup = () => {};
afterEach(() => {
  cleanup();
  cleanup = () => {};
});

const NETHERLANDS = { ...PAIR, corrupt: "The capital of the Netherlands is" };
const TOKENS = ["<bos>", "The", " capital", " of", " the", " Netherlands", " is"];

/** The clean prompt has 6 tokens, this corrupt one 7: " the" has no counterpart. */
function unequal(change: Record<string, unknown> = {}) {
  const traits = editorTraits();
  const columns = TOKENS.map((_, i) => {
    const clean = i < 4 ? i : i - 1;
    return { clean: i === 4 ? null : clean, corrupt: i, same: i !== 4 && i !== 5 };
  });
  const corrupt = { ids: [10, 11, 12, 13, 20, 21, 15], tokens: TOKENS };
  return { pair: NETHERLANDS, tokens: { ...(traits.tokens as object), corrupt, columns }, ...change };
}
const AUTOMATIC = [
  [0, 0],
  [1, 1],
  [2, 2],
  [3, 3],
  [4, 5],
  [5, 6],
];

async function show(change: Record<string, unknown> = {}, readonly = false) {
  const traits = editorTraits(change);
  const { model, sent } = readonly ? { model: new MemoryModel(traits), sent: [] } : modelWithKernel(traits);
  const mounted = mountWidget(promptPairEditor, model);
  cleanup = mounted.cleanup;
  await settled();
  const alignment = () => (sent.at(-1)?.params.pair as typeof PAIR | undefined)?.alignment;
  return { ...mounted, model, sent, alignment };
}

function chip(el: HTMLElement, run: "clean" | "corrupt", index: number): HTMLButtonElement {
  const found = part(el, `tokens-${run}`).querySelectorAll<HTMLButtonElement>("button")[index];
  if (!found) throw new Error(`no ${run} token ${index}`);
  return found;
}

const links = (el: HTMLElement) => el.querySelectorAll<HTMLElement>('[data-hs="link"]');

/** What a browser does for a pointer that goes from one element to another. */
async function drag(el: HTMLElement, from: HTMLElement, to: Element | null) {
  const strip = part(el, "token-strip");
  strip.setPointerCapture = () => {};
  document.elementFromPoint = () => to;
  const pointer = (type: string, target: HTMLElement, x: number) =>
    target.dispatchEvent(
      new PointerEvent(type, { bubbles: true, button: 0, buttons: 1, clientX: x, pointerId: 1 }),
    );
  pointer("pointerdown", from, 0);
  pointer("pointermove", strip, 40);
  await settled();
  const drawn = maybe(el, "drag") !== null;
  pointer("pointerup", strip, 40);
  await settled();
  return drawn;
}

test("equal prompts show no links until they are to be aligned", async () => {
  const { el, sent } = await show();
  expect(links(el)).toHaveLength(0);
  part(el, "align").click();
  await settled();
  expect(links(el)).toHaveLength(CORRUPT.length);
  expect(part(el, "align-help").textContent).toContain("Drag");
  expect(sent).toEqual([]);
});

test("prompts of unequal length show what corresponds, and what has no counterpart", async () => {
  const { el } = await show(unequal());
  expect(links(el)).toHaveLength(6);
  expect(part(el, "subtitle").textContent).toBe("6 and 7 tokens, aligned automatically");
  expect(chip(el, "corrupt", 4).getAttribute("aria-label")).toBe("the, position 4, no counterpart, differs");
  expect(chip(el, "corrupt", 5).getAttribute("aria-label")).toBe(
    "Netherlands, position 5, linked to Norway, position 4, differs",
  );
});

test("dragging from a token to one of the other prompt links them, in one step of undo", async () => {
  const { el, sent, alignment } = await show(unequal());
  expect(await drag(el, chip(el, "clean", 4), chip(el, "corrupt", 4))).toBe(true);
  expect(alignment()).toEqual(AUTOMATIC.map(([a, b]) => (a === 4 ? [4, 4] : [a, b])));
  expect(maybe(el, "drag")).toBeNull();
  // Shown before Python has answered: it is " Netherlands" now that has no counterpart.
  expect(chip(el, "corrupt", 5).getAttribute("aria-label")).toContain("no counterpart");
  expect(part(el, "subtitle").textContent).toBe("6 and 7 tokens, aligned by hand");
  part(el, "undo").click();
  expect(sent.at(-1)?.params.pair).toEqual(NETHERLANDS);
});

test("dragging upwards links as well, and a crossing link gives way", async () => {
  const { el, alignment } = await show(unequal());
  await drag(el, chip(el, "corrupt", 6), chip(el, "clean", 4));
  expect(alignment()).toEqual([...AUTOMATIC.slice(0, 4), [4, 6]]);
});

test("a drag that ends on no token of the other prompt changes nothing", async () => {
  const { el, sent } = await show(unequal());
  await drag(el, chip(el, "clean", 4), chip(el, "clean", 2));
  await drag(el, chip(el, "clean", 4), null);
  await drag(el, chip(el, "clean", 4), document.body);
  expect(sent).toEqual([]);
});

test("linking what is linked, or unlinking what is not, keeps the alignment automatic", async () => {
  const { el, sent } = await show(unequal());
  await drag(el, chip(el, "clean", 4), chip(el, "corrupt", 5));
  part(el, "align").click();
  await settled();
  press(chip(el, "corrupt", 4), "Delete");
  expect(sent).toEqual([]);
});

test("tokens of a text that has changed since can't be linked", async () => {
  const { el, model, alignment } = await show(unequal());
  const changed = { ...NETHERLANDS, clean: "The" };
  write(el, "clean", changed.clean);
  await drag(el, chip(el, "clean", 4), chip(el, "corrupt", 4));
  press(part(el, "input-clean"), "Enter"); // sends what there is to send
  expect(alignment()).toBeNull();
  model.set("pair", changed);
  await drag(el, chip(el, "clean", 4), chip(el, "corrupt", 4));
  expect(alignment()).toContainEqual([4, 4]);
});

test("a click on a link removes it", async () => {
  const { el, alignment } = await show(unequal());
  links(el)[1]?.click();
  expect(alignment()).toEqual(AUTOMATIC.filter(([a]) => a !== 1));
});

test("by keyboard: choose a token, go to the other prompt, link; Delete unlinks", async () => {
  const { el, alignment } = await show(unequal());
  part(el, "align").click();
  await settled();
  const focused = () => document.activeElement as HTMLElement;
  expect(focused()).toBe(chip(el, "clean", 0));
  for (let i = 0; i < 4; i++) press(focused(), "ArrowRight");
  expect(focused()).toBe(chip(el, "clean", 4));
  focused().click(); // what a browser makes of Enter on a button
  await settled();
  expect(focused().getAttribute("aria-pressed")).toBe("true");
  expect(part(el, "align-help").textContent).toContain("\u2423Norway");
  press(focused(), "ArrowDown");
  press(focused(), "ArrowLeft");
  expect(focused()).toBe(chip(el, "corrupt", 4));
  focused().click();
  await settled();
  expect(alignment()).toContainEqual([4, 4]);
  press(focused(), "Delete");
  expect(alignment()).not.toContainEqual([4, 4]);
  expect(alignment()).toHaveLength(5);
});

test("Escape lets go of the chosen token, then ends the aligning", async () => {
  const { el, model } = await show(unequal());
  part(el, "align").click();
  await settled();
  chip(el, "clean", 2).click();
  await settled();
  expect(press(chip(el, "clean", 2), "Escape").defaultPrevented).toBe(true);
  await settled();
  expect(chip(el, "clean", 2).getAttribute("aria-pressed")).toBe("false");
  press(chip(el, "clean", 2), "Escape");
  await settled();
  expect(part(el, "align").textContent).toBe("Align tokens");
  chip(el, "clean", 2).click();
  expect(model.get("selection")).toEqual({ position: 2, side: "clean" });
});

test("only while aligning does Delete unlink", async () => {
  const { el, sent } = await show(unequal());
  expect(press(chip(el, "clean", 2), "Delete").defaultPrevented).toBe(false);
  expect(sent).toEqual([]);
});

test("one token is in the order of Tab, the one that had the focus last", async () => {
  const { el } = await show(unequal());
  const reachable = () => part(el, "token-strip").querySelectorAll('[tabindex="0"]');
  expect([...reachable()]).toEqual([chip(el, "clean", 0)]);
  chip(el, "corrupt", 6).focus();
  await settled();
  expect([...reachable()]).toEqual([chip(el, "corrupt", 6)]);
});

test("back to automatic", async () => {
  const pair = { ...NETHERLANDS, alignment: [[0, 0]] };
  const { el, alignment } = await show(unequal({ pair }));
  expect(links(el)).toHaveLength(1);
  part(el, "align-automatic").click();
  expect(alignment()).toBeNull();
});

test("typing in a prompt forgets the alignment, typing an answer does not", async () => {
  vi.useFakeTimers();
  const pair = { ...NETHERLANDS, alignment: [[0, 0]] };
  const shown = show(unequal({ pair }));
  await vi.advanceTimersByTimeAsync(100);
  const { el, alignment } = await shown;
  write(el, "clean_answer", " Bergen");
  await vi.advanceTimersByTimeAsync(120);
  expect(alignment()).toEqual([[0, 0]]);
  write(el, "clean", "The capital");
  await vi.advanceTimersByTimeAsync(120);
  expect(alignment()).toBeNull();
  vi.useRealTimers();
});

test("swap turns the links around", async () => {
  const { el, alignment } = await show(unequal({ pair: { ...NETHERLANDS, alignment: [[4, 5]] } }));
  part(el, "swap").click();
  expect(alignment()).toEqual([[5, 4]]);
});

test("a page without a kernel shows the links and offers no change", async () => {
  const { el } = await show(unequal({ pair: { ...NETHERLANDS, alignment: [[0, 0]] } }), true);
  expect(links(el)).toHaveLength(1);
  expect(links(el)[0]?.tagName).toBe("I");
  expect(maybe(el, "align-bar")).toBeNull();
});
