// Long runs of equal tokens, which one chip stands for.
import { afterEach, expect, test } from "vitest";
import promptPairEditor from "../../js/panels/prompt_pair_editor";
import { foldsOf } from "../../js/panels/prompt_pair_editor/fold";
import { editorTraits, maybe, modelWithKernel, mountWidget, part, press, settled } from "./helpers";

let cleanup = () => {};
afterEach(() => cleanup());

/** 40 tokens, of which the one at position 30 differs. */
async function showLong(change: Record<string, unknown> = {}) {
  const list = (name: string) => Array.from({ length: 40 }, (_, i) => (i === 30 ? ` ${name}` : ` t${i}`));
  const tokens = editorTraits().tokens as Record<string, unknown>;
  const of = (texts: string[]) => ({ ids: texts.map((_, i) => i), tokens: texts });
  const traits = editorTraits({
    tokens: {
      ...tokens,
      clean: of(list("clean")),
      corrupt: of(list("corrupt")),
      columns: Array.from({ length: 40 }, (_, i) => ({ clean: i, corrupt: i, same: i !== 30 })),
    },
    ...change,
  });
  const kernel = modelWithKernel(traits);
  const mounted = mountWidget(promptPairEditor, kernel.model);
  cleanup = mounted.cleanup;
  await settled();
  return { ...kernel, ...mounted };
}

const texts = (el: HTMLElement, run: string) =>
  [...part(el, `tokens-${run}`).querySelectorAll(".hs-chip")].map((chip) => chip.textContent);

test("equal tokens far from the difference are one chip in both rows", async () => {
  const { el } = await showLong();
  expect(texts(el, "clean").slice(0, 3)).toEqual(["\u22ef 26 equal \u22ef", "\u2423t26", "\u2423t27"]);
  expect(texts(el, "corrupt")).toContain("\u2423corrupt");
  expect(texts(el, "corrupt")).toHaveLength(texts(el, "clean").length);
});

test("the chip shows them, and a button folds them again", async () => {
  const { el } = await showLong();
  part(el, "fold").click();
  await settled();
  expect(texts(el, "clean")).toHaveLength(40);
  part(el, "refold").click();
  await settled();
  expect(maybe(el, "fold")).not.toBeNull();
});

test("the pinned token is in view, and tokens to be linked are", async () => {
  const { el, model } = await showLong({ selection: { position: 3, side: "clean" } });
  expect(texts(el, "clean")).toHaveLength(40);
  model.set("selection", null);
  await settled();
  expect(maybe(el, "fold")).not.toBeNull();
  part(el, "align").click();
  await settled();
  expect(maybe(el, "fold")).toBeNull();
});

test("the keyboard reaches a token in view, and walks into the fold", async () => {
  const { el } = await showLong();
  const first = part(el, "tokens-clean").querySelector<HTMLElement>('[data-token="26"]');
  expect(first?.tabIndex).toBe(0);
  first?.focus();
  if (first) press(first, "ArrowLeft");
  await settled();
  expect(document.activeElement?.getAttribute("data-token")).toBe("25");
});

test("pairs without a difference, and short runs, stay as they are", () => {
  const columns = (n: number, differ: number[]) =>
    Array.from({ length: n }, (_, i) => ({ clean: i, corrupt: i, same: !differ.includes(i) }));
  expect(foldsOf(columns(50, [])).size).toBe(0);
  expect(foldsOf(columns(20, [12])).size).toBe(0);
  expect([...foldsOf(columns(60, [0, 30]))]).toEqual([
    [5, 21],
    [35, 25],
  ]);
});
