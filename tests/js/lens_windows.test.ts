import { expect, test } from "vitest";
import { maybe, part, press, settled } from "./helpers";
import { LONG, lensTraits, makeLongLens, makeWindow } from "./lenses";
import { cellWords, lensWithoutKernel, showLens } from "./shown_lens";

const long = (change = {}) => lensTraits({ result: makeLongLens(), ...change });
async function showLong(change = {}) {
  const shown = await showLens(long(change));
  const answerWindow = async () => {
    const request = shown.sent.at(-1);
    const { side, start, stop } = (request?.params ?? {}) as { side: "prompt"; start: number; stop: number };
    shown.answer("accepted", request);
    shown.answer("window", request, makeWindow(side, start, stop));
    shown.answer("result", request);
    await settled();
  };
  const scrollTo = async (left: number) => {
    const scroller = part(shown.el, "scroller");
    Object.defineProperty(scroller, "scrollLeft", { value: left, configurable: true, writable: true });
    scroller.dispatchEvent(new Event("scroll"));
    await settled();
  };
  return { ...shown, answerWindow, scrollTo };
}

test("a long prompt opens at its end, and asks for the columns that are seen and one view more, once", async () => {
  const { sent } = await showLong();
  expect(sent.map(({ method }) => method)).toEqual(["lens_window"]);
  const { start, ...params } = sent[0]?.params ?? {};
  expect(params).toEqual({ result: "lens-1", side: "prompt", stop: LONG });
  expect(start).toBeGreaterThan(LONG - 60);
  expect(start).toBeLessThan(LONG - 10);
});

test("with a pinned cell it opens there", async () => {
  const pinned = { activation: "resid_pre", layer: 1, position: 3 };
  const { sent } = await showLong({ selection: pinned });
  expect(sent.map(({ params }) => params.start)).toEqual([0]);
});

test("what has come is shown and kept, and nothing is asked for twice", async () => {
  const { el, sent, answerWindow, scrollTo } = await showLong();
  await answerWindow();
  await scrollTo(0);
  expect(sent).toHaveLength(2);
  expect(cellWords(el, 2)).toBe("emb, position 2 ' w2', not loaded yet");
  await answerWindow();
  expect(cellWords(el, 2)).toBe("emb, position 2 ' w2', '\n' 0.02");
  await scrollTo(LONG * 60);
  expect(sent).toHaveLength(2);
});

test("one window is under way at a time, and a refusal is not asked again until something else is seen", async () => {
  const { sent, answer, scrollTo } = await showLong();
  await scrollTo(4000);
  await scrollTo(6000);
  expect(sent).toHaveLength(1);
  answer("error", sent[0]);
  await settled();
  expect(sent).toHaveLength(2);
  expect(Number(sent[1]?.params.start)).toBeGreaterThan(80);
  answer("error", sent[1]);
  await settled();
  expect(sent).toHaveLength(2);
});

test("without a kernel nothing is asked for, and what was not saved is said", async () => {
  const { el } = await lensWithoutKernel(long());
  expect(part(el, "note").textContent).toContain("were not loaded when this was saved");
});

test("only cells around the cursor are in the document", async () => {
  const { el } = await showLens(long());
  expect(el.querySelectorAll('[role="gridcell"]').length).toBeLessThan(4 * LONG);
  expect(part(el, "cells").getAttribute("aria-colcount")).toBe(String(LONG));
});

test("Shift with the arrow keys chooses columns on the token axis, Enter shows only them, and a button all again", async () => {
  const { el, model } = await showLong();
  const axis = part(el, "axis");
  press(axis, "ArrowRight");
  await settled();
  for (let i = 0; i < 3; i++) {
    press(axis, "ArrowRight", { shiftKey: true });
    await settled();
  }
  expect(axis.getAttribute("aria-valuetext")).toContain("4 columns chosen");
  press(axis, "Enter");
  expect(model.get("columns")).toEqual([1, 5]);
  await settled();
  expect(part(el, "cells").getAttribute("aria-colcount")).toBe("4");
  expect(cellWords(el, 4)).toContain("layer 0, position 1 ' w1'");
  part(el, "all-columns").click();
  await settled();
  expect(model.get("columns")).toBeNull();
  expect(maybe(el, "all-columns")).toBeNull();
});

test("a drag on the token axis chooses columns; a click does not", async () => {
  const { el, model } = await showLong();
  const axis = part(el, "axis");
  const width = Number.parseFloat(axis.style.width) / LONG;
  const pointer = async (type: string, column: number) => {
    const at = { clientX: (column + 0.5) * width, clientY: 4, button: 0, bubbles: true };
    axis.dispatchEvent(new PointerEvent(type, at));
    await settled();
  };
  await pointer("pointerdown", 7);
  await pointer("pointerup", 7);
  expect(model.get("columns")).toBeNull();
  await pointer("pointerdown", 7);
  await pointer("pointermove", 3);
  await pointer("pointerup", 3);
  expect(model.get("columns")).toEqual([3, 8]);
});

test("columns beyond this prompt are all shown", async () => {
  const { el } = await showLong({ columns: [4000, 5000] });
  expect(part(el, "cells").getAttribute("aria-colcount")).toBe(String(LONG));
});
