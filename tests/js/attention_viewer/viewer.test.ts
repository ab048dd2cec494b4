import { expect, test } from "vitest";
import { eventually } from "../eventually";
import { maybe, part, press, settled, write } from "../helpers";
import {
  chooseIn,
  clickAt,
  headPoint,
  hoverAt,
  pointAtToken,
  showViewer,
  token,
  viewerWithoutKernel,
} from "./shown_viewer";
import { INFO, makeAttention, makeScore, pairTraits, viewerTraits } from "./viewers";

const opened = (change = {}) => viewerTraits({ opened: [[0, 2]], ...change });

test("a click opens a head and a second one closes it", async () => {
  const { el, model } = await showViewer();
  expect(maybe(el, "opened-head")).toBeNull();
  await clickAt(part(el, "cells"), ...headPoint(el, 1, 2));
  expect(model.get("opened")).toEqual([[1, 2]]);
  expect(part(el, "opened-head").dataset.head).toBe("1.2");
  await clickAt(part(el, "cells"), ...headPoint(el, 1, 2));
  expect(model.get("opened")).toEqual([]);
});

test("Shift and a click pins a head without opening it", async () => {
  const { el, model } = await showViewer();
  await clickAt(part(el, "cells"), ...headPoint(el, 0, 1), { shiftKey: true });
  expect(model.get("selection")).toEqual({ layer: 0, head: 1 });
  expect(model.get("opened")).toEqual([]);
  expect(part(el, "pin").dataset.cell).toBe("1");
});

test("the keyboard alone opens and pins heads", async () => {
  const { el, model } = await showViewer();
  const grid = part(el, "heads-grid");
  expect(press(grid, "ArrowRight").defaultPrevented).toBe(true); // enters at the top left
  await settled();
  press(grid, "ArrowDown");
  await settled();
  press(grid, "ArrowRight");
  await settled();
  press(grid, "Enter");
  expect(model.get("opened")).toEqual([[0, 1]]);
  await settled();
  press(grid, "Enter", { shiftKey: true });
  expect(model.get("selection")).toEqual({ layer: 0, head: 1 });
  await settled();
  const active = grid.getAttribute("aria-activedescendant");
  expect(el.querySelector(`[id="${active}"]`)?.textContent).toBe(
    "Head 0.1, opened, induction 0.91 \u00b7 previous token 0.01",
  );
  press(grid, "Escape");
  expect(model.get("selection")).toBeNull();
});

test("hovering a head reads its scores and the key-value head that it shares", async () => {
  const { el } = await showViewer(
    viewerTraits({ result: makeAttention({}, { key_value_heads: [0, 0, 1] }) }),
  );
  await hoverAt(part(el, "cells"), ...headPoint(el, 0, 2));
  expect(part(el, "head-said").textContent).toContain("Head 0.2, uses key-value head 1");
  expect(part(el, "head-said").textContent).toContain("induction 0.30");
  expect(part(el, "active").dataset.cell).toBe("2");
});

test("of thirteen opened heads the first one goes", async () => {
  const first = Array.from({ length: 12 }, (_, i) => [0, i]);
  const { el, model } = await showViewer(
    viewerTraits({ result: makeAttention({ layers: 1, heads: 13 }), scores: [], opened: first }),
  );
  const grid = part(el, "heads-grid");
  press(grid, "End");
  await settled();
  press(grid, "End");
  await settled();
  press(grid, "Enter");
  const heads = model.get("opened") as number[][];
  expect([heads.length, heads[0], heads.at(-1)]).toEqual([12, [0, 1], [0, 12]]);
  await settled();
  expect(part(el, "put-away").textContent).toBe("Head 0.0 was closed: at most 12 heads can be open.");
  press(grid, "Enter"); // closes it again
  await settled();
  expect(part(el, "put-away").textContent).toBe("");
});

test("a token's ground shows what it attends to, its underline what attends to it, and both are read out", async () => {
  const { el } = await showViewer(opened());
  await pointAtToken(el, 9); // the second capital, of an induction head
  expect(token(el, 3).style.backgroundColor).not.toBe("");
  expect(token(el, 10).style.backgroundColor).toBe("");
  expect(token(el, 10).style.borderBottomColor).not.toBe("");
  expect(token(el, 3).style.borderBottomColor).toBe("");
  expect(token(el, 9).dataset.here).toBe("true");
  // Whatever the token's own colour, its text and its marks have the ink that was chosen for the ground.
  expect(token(el, 3).style.color).not.toBe("");
  expect(token(el, 3).style.getPropertyValue("--hs-ink")).not.toBe("");
  expect(token(el, 10).style.color).toBe("");
  expect(part(el, "text-said").textContent).toMatch(
    /^Head 0\.2: \u2423capital \(9\) attends to \u2423of \(3\) 0\.\d{4} \u00b7 .*and is attended to by/,
  );
  expect(part(el, "cell-said").textContent).toMatch(
    /^\u2423capital \(9\) attends most to \u2423of \(3\): 0\.\d+$/,
  );
});

test("a click locks a token, a second one and Escape unlock it", async () => {
  const { el, model } = await showViewer(opened());
  const click = async (i: number) => {
    token(el, i).dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await settled();
  };
  await click(9);
  expect(model.get("selection")).toEqual({ position: 9 });
  part(el, "text").dispatchEvent(new PointerEvent("pointerleave"));
  await settled();
  expect(token(el, 3).style.backgroundColor).not.toBe("");
  await click(9);
  expect(model.get("selection")).toBeNull();
  await click(4);
  press(part(el, "text"), "Escape");
  expect(model.get("selection")).toBeNull();
});

test("the keyboard reads and locks tokens", async () => {
  const { el, model } = await showViewer(opened());
  const text = part(el, "text");
  for (const key of ["End", "ArrowLeft"]) {
    press(text, key);
    await settled();
  }
  expect(text.getAttribute("aria-activedescendant")).toBe(token(el, 11).id);
  expect(part(el, "text-said").textContent).toContain("\u2423Norway (11) attends to");
  press(text, "Enter");
  expect(model.get("selection")).toEqual({ position: 11 });
  expect(press(text, "a").defaultPrevented).toBe(false);
});

test("in a matrix arrows move, Enter locks the cell, Escape unlocks it; the head stays pinned", async () => {
  const { el, model } = await showViewer(opened({ selection: { position: 9, source: 3 } }));
  const matrix = part(el, "matrix");
  press(matrix, "ArrowDown");
  await settled();
  press(matrix, "ArrowRight");
  await settled();
  expect(part(el, "said-cell").textContent).toMatch(
    /^\u2423of \(10\) attends to \u2423Norway \(4\): 0\.\d+$/,
  );
  expect(part(el, "cell-said").textContent).toContain("\u2423of (10) attends to \u2423Norway (4)");
  press(matrix, "Enter");
  expect(model.get("selection")).toEqual({ layer: 0, head: 2, position: 10, source: 4 });
  await settled();
  press(matrix, "Escape");
  expect(model.get("selection")).toEqual({ layer: 0, head: 2 });
});

test("a masked cell says so, and is no number", async () => {
  const { el } = await showViewer(opened({ selection: { layer: 0, head: 2, position: 2, source: 5 } }));
  expect(part(el, "cell-said").textContent).toContain("masked");
});

test.each([{ position: 99 }, { layer: 7, head: 0 }, { layer: 1 }, { source: -1 }, { row: 1 }])(
  "a selection that has no place here is ignored: %o",
  async (selection) => {
    const { el } = await showViewer(viewerTraits({ selection }));
    expect(maybe(el, "pin")).toBeNull();
    expect(el.querySelector('[data-token][aria-selected="true"]')).toBeNull();
  },
);

test("the text shows the attention of the pinned head, or else of the head that was opened last", async () => {
  const { el } = await showViewer(
    viewerTraits({
      opened: [
        [0, 2],
        [1, 0],
      ],
    }),
  );
  expect(part(el, "text-said").textContent).toContain("Head 1.0");
  el.querySelectorAll<HTMLElement>('[data-hs="pin-head"]')[0]?.click();
  await settled();
  expect(part(el, "text-said").textContent).toContain("Head 0.2");
});

test("a head is named by what it does on repeated random tokens, and its scores say which prompt they are of", async () => {
  const head_roles = [{ layer: 0, head: 2, role: "induction", score: 0.83 }];
  const { el } = await showViewer(viewerTraits({ opened: [[0, 2]], head_roles }));
  expect(part(el, "role").textContent).toBe("induction head: 0.83 on repeated random tokens");
  expect(part(el, "scores").textContent).toMatch(/^on this prompt: /);
});

test("the first token can be left out of the colours, which the title says", async () => {
  const { el, model } = await showViewer();
  part<HTMLInputElement>(el, "without-first").click();
  await settled();
  expect(model.get("without_first")).toBe(true);
  expect(el.querySelector(".hs-head small, .hs-head .hs-muted, .hs-head")?.textContent).toContain(
    "the first token left out",
  );
});

test("sorted by a score heads flow, best first, each with its name and score", async () => {
  const { el, model } = await showViewer();
  await chooseIn(el, "sort", "previous_token");
  expect(model.get("sort")).toBe("previous_token");
  const captions = [...el.querySelectorAll(".hs-thumb-caption")].map((caption) => caption.textContent);
  expect(captions).toEqual(["1.1 0.93", "0.0 0.50", "1.2 0.10", "1.0 0.03", "0.2 0.02", "0.1 0.01"]);
});

test("scores on random tokens are measured when they are asked for", async () => {
  const { el, model, asked, answer } = await showViewer();
  const groups = () => [...el.querySelectorAll("optgroup")].map((group) => group.label);
  expect(groups()).toEqual(["on this prompt", "on repeated random tokens"]);
  await chooseIn(el, "sort", "+");
  expect(asked("head_scores")).toHaveLength(1);
  expect(model.get("sort")).toBe("layer");
  expect(part<HTMLSelectElement>(el, "sort").value).toBe("layer");
  expect(el.querySelector<HTMLOptionElement>('option[value="+"]')?.disabled).toBe(true);
  const random = makeScore("random:induction", [0, 0, 1, 0, 0, 0], { label: "induction", on: "random" });
  model.set("scores", [...(model.get("scores") as object[]), random]);
  answer("result");
  await settled();
  expect(el.querySelector('option[value="+"]')).toBeNull();
  await chooseIn(el, "sort", "random:induction");
  expect(el.querySelector(".hs-thumb-caption")?.textContent).toBe("0.2 1.00");
});

test("layers are filtered by what is typed; what cannot be read gets a sentence", async () => {
  const { el, model } = await showViewer();
  part(el, "more").click();
  await settled();
  const type = async (text: string) => {
    const field = part<HTMLInputElement>(el, "layers");
    field.value = text;
    field.dispatchEvent(new Event("change", { bubbles: true }));
    await settled();
  };
  await type("5");
  expect(part(el, "complaint").textContent).toBe("There is no layer 5. Layers are 0-1.");
  expect(model.get("shown_layers")).toBeNull();
  await type("1");
  expect(model.get("shown_layers")).toEqual([1]);
  expect(part(el, "heads-grid").getAttribute("aria-rowcount")).toBe("1");
});

test("marks, scale and the place of layer 0 are written, and nothing is asked for", async () => {
  const { el, model, sent } = await showViewer(opened());
  part(el, "mark-induction").click();
  await chooseIn(el, "scale", "1");
  part(el, "more").click();
  await settled();
  part(el, "layer-zero").click();
  expect([model.get("marks"), model.get("scale"), model.get("layer_zero")]).toEqual([
    ["induction"],
    "log",
    "top",
  ]);
  await settled();
  expect(part(el, "subtitle").textContent).toContain("log scale");
  expect(part(el, "legend").textContent).toContain("0.01");
  expect(sent).toEqual([]);
});

test("another kind is asked for; one that the model does not have cannot be chosen", async () => {
  const { el, asked } = await showViewer();
  await chooseIn(el, "kind", "1");
  expect(asked("attention_patterns").map(({ params }) => params)).toEqual([{ kind: "value_weighted" }]);
  const last = [...part(el, "kind").querySelectorAll("option")].at(-1);
  expect(last?.disabled).toBe(true);
  expect(last?.textContent).toContain("this model has no such hook");
});

test("of a pair the side is chosen; a difference has a sign", async () => {
  const { el, model } = await showViewer(pairTraits({ opened: [[0, 1]] }));
  expect(maybe(el, "prompt")).toBeNull();
  expect(token(el, 4).className).toContain("hs-tone-clean");
  expect(token(el, 3).className).not.toContain("hs-tone");
  await chooseIn(el, "side", "2");
  expect(model.get("side")).toBe("difference");
  expect(part(el, "subtitle").textContent).toContain("clean \u2212 corrupt");
  expect(part(el, "legend").textContent).toContain("+0.5");
  expect(part(el, "legend").textContent).toContain("\u22120.5");
});

test("another prompt is asked for with Enter, and only if it is another", async () => {
  const { el, asked } = await showViewer();
  press(part(el, "input-prompt"), "Enter");
  expect(asked("show")).toEqual([]);
  write(el, "prompt", "The capital");
  await settled();
  press(part(el, "input-prompt"), "Enter");
  expect(asked("show").map(({ params }) => params)).toEqual([{ text: "The capital" }]);
});

test("a prompt that is too long offers its end", async () => {
  const remedy = { label: "Read the last 2048 tokens", method: "attention_patterns", params: { last: 2048 } };
  const error = { field: null, message: "The prompt has 3000 tokens.", traceback: null, remedy };
  const { el, asked } = await showViewer(viewerTraits({ status: "error", error }));
  await eventually(() => expect(part(el, "faded").textContent).toContain("Faded: the last result"));
  expect(part(el, "remedy").textContent).toBe("Read the last 2048 tokens");
  part(el, "remedy").click();
  expect(asked("attention_patterns").map(({ params }) => params)).toEqual([{ last: 2048 }]);
});

test("text is never HTML", async () => {
  const tokens = ["<bos>", "<img src=x onerror=alert(1)>", " of"];
  const result = makeAttention({ tokens }, { names: Array.from({ length: 6 }, () => "<b>x</b>") });
  const { el } = await showViewer(opened({ result }));
  expect(el.querySelector("img, b > b")).toBeNull();
  expect(token(el, 1).textContent).toBe("<img src=x onerror=alert(1)>");
  expect(part(el, "opened-head").dataset.head).toBe("<b>x</b>");
});

test("a result of an unknown format is refused with a sentence", async () => {
  const { el } = await showViewer(viewerTraits({ result: { ...makeAttention(), schema_version: 2 } }));
  expect(part(el, "error").textContent).toContain("This result has format 2");
});

test("arrays without a model have no kinds, prompts, runs or actions", async () => {
  const result = makeAttention({ layers: 1, heads: 3 }, { names: ["L0H0", "L0H1", "L3H2"] });
  const { result: _, status: __, ...rest } = opened({ opened: [[0, 2]] });
  const info = { ...INFO, model: null, kinds: [], actions: null };
  const { el } = await showViewer({ ...rest, info, result, scores: [], prompt: undefined });
  for (const name of ["kind", "prompt", "state", "actions", "sort"]) expect(maybe(el, name)).toBeNull();
  expect(part(el, "pin-head").textContent).toBe("L3H2");
  expect([...el.querySelectorAll(".hs-thumb-caption")].map((c) => c.textContent?.trim())).toEqual([
    "L0H0",
    "L0H1",
    "L3H2",
  ]);
});

test("a saved page keeps what it can answer itself and offers nothing else", async () => {
  const { el, model } = await viewerWithoutKernel(pairTraits({ opened: [[0, 1]] }));
  expect(maybe(el, "side")).not.toBeNull();
  expect(maybe(el, "actions")).toBeNull();
  expect(el.querySelector("textarea")).toBeNull();
  expect(part(el, "params").textContent).toBe("pattern");
  await chooseIn(el, "side", "1");
  expect(model.get("side")).toBe("corrupt");
  expect(maybe(el, "matrix")).not.toBeNull();
});

test("of a saved page that is not whole the kept heads are shown, and others say so", async () => {
  const one = makeAttention({ layers: 1, heads: 1 }).values.prompt;
  const result = makeAttention(
    {},
    { whole: false, kept: { "prompt:0.1": { ...(one as object), shape: [13, 13] } as never } },
  );
  const { el } = await viewerWithoutKernel(
    viewerTraits({
      result,
      opened: [
        [0, 1],
        [1, 1],
      ],
    }),
  );
  const cards = [...el.querySelectorAll<HTMLElement>('[data-hs="opened-head"]')];
  expect(cards.map((card) => maybe(card, "matrix") !== null)).toEqual([true, false]);
  expect(part(el, "missing").textContent).toContain("not saved");
  expect(maybe(el, "scale")).toBeNull();
});
