import { expect, test, vi } from "vitest";
import { maybe, part, settled, write } from "../helpers";
import { chooseIn, showViewer } from "./shown_viewer";
import { allValues, bytes, floats, INFO, makeAttention, pairTraits, TOKENS, viewerTraits } from "./viewers";

const LARGE = makeAttention({}, { whole: false });
const N = TOKENS.length;

function largeTraits(change: Record<string, unknown> = {}) {
  return viewerTraits({ result: LARGE, opened: [[0, 1]], ...change });
}

/** What the kernel says of some heads. */
function headsOf(heads: number[][], result = "attention-1", side = "prompt") {
  const all = allValues({});
  const values = new Float32Array(heads.length * N * N);
  heads.forEach(([layer = 0, head = 0], i) => {
    const index = layer * 3 + head;
    values.set(all.subarray(index * N * N, (index + 1) * N * N), i * N * N);
  });
  return { result, side, heads, values: floats([heads.length, N, N], values) };
}

test("of a large result an opened head is asked for once", async () => {
  const { el, model, asked, answer } = await showViewer(largeTraits());
  expect(asked("heads").map(({ params }) => params)).toEqual([
    { result: "attention-1", side: "prompt", heads: [[0, 1]] },
  ]);
  expect(part(el, "missing").textContent).toContain("Loading");
  answer("heads", asked("heads")[0], headsOf([[0, 1]]));
  answer("result", asked("heads")[0]);
  await settled();
  expect(maybe(el, "matrix")).not.toBeNull();
  model.set("opened", []);
  await settled();
  model.set("opened", [[0, 1]]);
  await settled();
  expect(maybe(el, "matrix")).not.toBeNull();
  expect(asked("heads")).toHaveLength(1);
});

test("what did not fit into one request is asked for once that is answered", async () => {
  const heads: [number, number][] = Array.from({ length: 13 }, (_, head) => [0, head]);
  const shape = { layers: 1, heads: 13 };
  const result = makeAttention(shape, { whole: false, values: {} });
  const { asked, answer } = await showViewer(
    viewerTraits({ result, scores: [], opened: heads.slice(0, 12), selection: { layer: 0, head: 12 } }),
  );
  expect(asked("heads").map(({ params }) => (params.heads as unknown[]).length)).toEqual([12]);
  const first = asked("heads")[0]?.params.heads as [number, number][];
  answer("heads", asked("heads")[0], headsOf(first));
  await settled();
  const missing = heads.filter((head) => !first.some((one) => one[1] === head[1]));
  expect(asked("heads")[1]?.params.heads).toEqual(missing);
});

test("two views of one model ask once", async () => {
  const { asked } = await showViewer(largeTraits(), 2);
  expect(asked("heads")).toHaveLength(1);
});

test("a newer request names what the unanswered one has named, since it takes its place", async () => {
  const { el, model, asked, answer } = await showViewer(largeTraits());
  model.set("opened", [
    [0, 1],
    [1, 2],
  ]);
  await settled();
  expect(asked("heads").at(-1)?.params.heads).toEqual([
    [0, 1],
    [1, 2],
  ]);
  answer(
    "heads",
    asked("heads")[1],
    headsOf([
      [0, 1],
      [1, 2],
    ]),
  );
  await settled();
  expect(el.querySelectorAll('[data-hs="matrix"]')).toHaveLength(2);
});

test("heads of a result that is no longer shown are dropped, and what came is forgotten with it", async () => {
  const { el, model, asked, answer } = await showViewer(largeTraits());
  answer("heads", asked("heads")[0], headsOf([[0, 1]]));
  await settled();
  model.set("result", { ...LARGE, id: "attention-2" });
  await settled();
  expect(maybe(el, "matrix")).toBeNull();
  expect(asked("heads").at(-1)?.params.result).toBe("attention-2");
  answer("heads", asked("heads").at(-1), headsOf([[0, 1]], "attention-1"));
  await settled();
  expect(maybe(el, "matrix")).toBeNull();
});

test("a whole result asks for nothing", async () => {
  const { asked } = await showViewer(viewerTraits({ opened: [[0, 1]] }));
  expect(asked("heads")).toEqual([]);
});

test("pictures of another scale are faded until theirs come; those of another result are not shown", async () => {
  const thumbs = (change = {}) => ({
    result: "attention-1",
    side: "prompt",
    scale: "linear",
    size: 4,
    codes: bytes([2, 3, 4, 4], new Uint8Array(96).fill(100)),
    ...change,
  });
  const { el, model } = await showViewer(largeTraits({ thumbs: thumbs() }));
  expect(part(el, "thumbs").dataset.stale).toBe("false");
  await chooseIn(el, "scale", "2");
  expect(part(el, "thumbs").dataset.stale).toBe("true");
  model.set("thumbs", thumbs({ scale: "row" }));
  await settled();
  expect(part(el, "thumbs").dataset.stale).toBe("false");
  model.set("thumbs", thumbs({ result: "other" }));
  await settled();
  expect(maybe(el, "thumbs")).toBeNull();
});

test("the last result stays until the next one is there", async () => {
  const { el, model } = await showViewer(viewerTraits({ opened: [[0, 1]] }));
  model.set("status", "running");
  model.set("result", null);
  await settled();
  expect(maybe(el, "matrix")).not.toBeNull();
  model.set("result", makeAttention({ layers: 1 }, { id: "attention-2" }));
  await settled();
  expect(part(el, "heads-grid").getAttribute("aria-rowcount")).toBe("1");
  model.set("status", "error");
  model.set("result", null);
  await settled();
  expect(maybe(el, "matrix")).toBeNull();
});

const PATCH = {
  layer: 0,
  head: 1,
  activation: "z",
  label: "logit difference",
  scale_text: "0 = corrupt run, 1 = clean run",
  direction: "denoise",
  tokens: ["<bos>", "The", " of"],
  effects: floats([3], Float32Array.from([0, 0.5, Number.NaN])),
  state: bytes([3], Uint8Array.from([2, 1, 3])),
  all: 0.61,
  warnings: ["Careful."],
};

test("a head is patched in place, with a reason where it can't be", async () => {
  const { el, model, asked, answer } = await showViewer(
    pairTraits({
      opened: [
        [0, 1],
        [1, 0],
      ],
    }),
  );
  part(el, "action-patch").click();
  await settled();
  await chooseIn(el, "patch-activation", "1");
  part(el, "run-patch").click();
  await settled();
  expect(asked("patch_head").map(({ params }) => params)).toEqual([
    { layer: 0, head: 1, activation: "pattern" },
  ]);
  expect(maybe(el, "action-progress")).not.toBeNull();
  model.set("head_patch", PATCH);
  answer("result");
  await settled();
  expect(maybe(el, "action-progress")).toBeNull();
  expect(part(el, "patch-all").textContent).toBe("0.61");
  expect(part(el, "patch-result").textContent).toContain("from clean into corrupt: 0 = corrupt run");
  expect(part(el, "action-warning").textContent).toBe("Careful.");
  const strip = part(el, "patch-effects").querySelectorAll<HTMLElement>('[data-hs="strip-token"]');
  strip[0]?.dispatchEvent(new PointerEvent("pointerenter"));
  await settled();
  expect(part(el, "patch-effects-said").textContent).toContain("=, both runs are the same here");
  // Another head's answer is not under this one.
  model.set("head_patch", { ...PATCH, layer: 1, head: 0 });
  await settled();
  expect(maybe(el, "patch-result")).toBeNull();
});

test("why patching is not possible is said where it would be", async () => {
  const actions = { ...INFO.actions, patch_reason: "Patching needs two prompts." };
  const { el } = await showViewer(viewerTraits({ opened: [[0, 1]], info: { ...INFO, actions } }));
  part(el, "action-patch").click();
  await settled();
  expect(part(el, "action-reason").textContent).toBe("Patching needs two prompts.");
  expect(maybe(el, "run-patch")).toBeNull();
});

test("what a head's action opens, and its answer, scroll into sight; another head's answer does not", async () => {
  const shown = vi.spyOn(HTMLElement.prototype, "scrollIntoView").mockImplementation(() => {});
  const { el, model } = await showViewer(pairTraits({ opened: [[0, 1]] }));
  expect(shown).not.toHaveBeenCalled();
  part(el, "action-patch").click();
  await settled();
  expect(shown).toHaveBeenCalledTimes(1);
  model.set("head_patch", { ...PATCH, layer: 1, head: 0 });
  await settled();
  expect(shown).toHaveBeenCalledTimes(1);
  model.set("head_patch", PATCH);
  await settled();
  expect(shown).toHaveBeenCalledTimes(2);
  shown.mockRestore();
});

test("what goes wrong with one head is said under it, and nowhere else", async () => {
  const { el, model, answer } = await showViewer(viewerTraits({ opened: [[0, 1]] }));
  part(el, "action-circuits").click();
  await settled();
  part(el, "run-circuits").click();
  model.set("error", { field: null, message: "It has no such weights." });
  answer("error", undefined, { message: "It has no such weights.", field: null });
  await settled();
  expect(part(el, "action-error").textContent).toBe("It has no such weights.");
  expect(maybe(el, "error")).toBeNull();
  expect(part(el, "attention-result").dataset.stale).toBe("false");
});

test("logit attribution takes typed answers, or none, and says value, rank and sources", async () => {
  const { el, model, asked, answer } = await showViewer(viewerTraits({ opened: [[0, 1]] }));
  part(el, "action-attribute").click();
  await settled();
  part(el, "run-attribute").click();
  write(el, "answer", "\u2423Oslo");
  await settled();
  part(el, "run-attribute").click();
  expect(asked("attribute_head").map(({ params }) => params)).toEqual([
    { layer: 0, head: 1 },
    { layer: 0, head: 1, answer: " Oslo" },
  ]);
  const side = { value: 2.6, total: 9.1, rank: 2, of: 6, position: 2, tokens: ["a", "b", "c"] };
  model.set("head_attribution", {
    layer: 0,
    head: 1,
    quantity: "logit",
    answer: " Oslo",
    wrong_answer: null,
    note: "",
    sides: { prompt: { ...side, by_source: floats([3], Float32Array.from([0, -1, 3.6])) } },
    warnings: [],
  });
  answer("result");
  await settled();
  expect(part(el, "attributed-prompt").textContent).toBe(
    "+2.60 of +9.10, rank 2 of 6 heads, by the token that it attends to:",
  );
  expect(el.querySelectorAll('[data-hs="sources-prompt"] [data-hs="strip-token"]')).toHaveLength(3);
});

test("pairs of tokens that a head's weights connect", async () => {
  const circuits = {
    layer: 0,
    head: 1,
    circuit: "qk",
    tokens: "all",
    pairs: [{ source: " is", target: " Oslo", value: 3 }],
    lowest: [{ source: "<b>", target: " of", value: -1.5 }],
    note: "Without positions",
    copying: null,
  };
  const { el, asked } = await showViewer(viewerTraits({ opened: [[0, 1]], head_circuits: circuits }));
  // An answer that is there is open.
  expect(part(el, "pairs-largest").textContent).toContain("\u2423is \u2192 \u2423Oslo+3.00");
  expect(part(el, "pairs-lowest").textContent).toContain("<b> \u2192 \u2423of\u22121.50");
  await chooseIn(el, "circuit", "0");
  part(el, "run-circuits").click();
  expect(asked("head_circuits").map(({ params }) => params)).toEqual([
    { layer: 0, head: 1, circuit: "ov", tokens: "all" },
  ]);
});
