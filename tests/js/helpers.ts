// A result small enough to reason about, a kernel that answers when told to, and a page to mount views in.

import type { ArrayJson } from "../../js/lib/ndarray";
import type { TopJson } from "../../js/lib/top_tokens";
import type { PartialJson, ResultJson } from "../../js/panels/patch_heatmap/result";
import { MemoryModel } from "../../js/report/memory_model";
import { SCHEMA_VERSION } from "../../js/wire/requests";

export interface Sent {
  kind: string;
  id: string;
  method: string;
  params: Record<string, unknown>;
}

export function arrayJson(dtype: ArrayJson["dtype"], shape: number[], data: number[]): ArrayJson {
  const bytes = new DataView(new ArrayBuffer(data.length * (dtype === "uint8" ? 1 : 4)));
  data.forEach((value, i) => {
    if (dtype === "float32") bytes.setFloat32(i * 4, value, true);
    else if (dtype === "int32") bytes.setInt32(i * 4, value, true);
    else bytes.setUint8(i, value);
  });
  return { dtype, shape, data: btoa(String.fromCharCode(...new Uint8Array(bytes.buffer))) };
}

export function topJson(ids: number[], logits: number[], probs: number[]): TopJson {
  const shape = [ids.length];
  return {
    ids: arrayJson("int32", shape, ids),
    logits: arrayJson("float32", shape, logits),
    probs: arrayJson("float32", shape, probs),
  };
}

export const CLEAN = ["<bos>", "The", " capital", " of", " Norway", " is"];
export const CORRUPT = ["<bos>", "The", " capital", " of", " Sweden", " is"];
const LAYERS = 3;
const POSITIONS = CLEAN.length;
export const CELLS = LAYERS * POSITIONS;

/** 3 layers by 6 positions; not square, so that a transposition shows. Cell i has effect i / 10. */
export function makeResult(change: Partial<ResultJson> = {}): ResultJson {
  const shape = [LAYERS, POSITIONS];
  const indices = Array.from({ length: CELLS }, (_, i) => i);
  const top = topJson([1, 2], [9, 7], [0.8, 0.1]);
  return {
    schema_version: 1,
    method: "activation_patching",
    id: "sweep-1",
    params: {
      activation: "resid_pre",
      axes: ["layer", "position"],
      direction: "denoise",
      metric: "logit_diff",
    },
    axes: ["layer", "position"],
    labels: { layer: ["0", "1", "2"], position: CLEAN },
    values: arrayJson(
      "float32",
      shape,
      indices.map((i) => i - 5),
    ),
    normalized: arrayJson(
      "float32",
      shape,
      indices.map((i) => i / 10),
    ),
    state: arrayJson(
      "uint8",
      shape,
      indices.map((i) => (i % POSITIONS < 4 ? 2 : 1)),
    ),
    baselines: { clean: 9.12, corrupt: -8.75 },
    prompts: {
      clean: { text: "The capital of Norway is", ids: [0, 1, 2, 3, 4, 5], tokens: CLEAN, answer: " Oslo" },
      corrupt: {
        text: "The capital of Sweden is",
        ids: [0, 1, 2, 3, 6, 5],
        tokens: CORRUPT,
        answer: " Stockholm",
      },
    },
    top: null,
    top_runs: { clean: top, corrupt: top },
    tokens: { "1": " Oslo", "2": " Stockholm", "3": "<script>" },
    provenance: { complete: true, seconds: 0.3, warnings: [] },
    ...change,
  };
}

export function makeSkeleton(sweep: string): ResultJson {
  const shape = [LAYERS, POSITIONS];
  const nothing = arrayJson("float32", shape, Array(CELLS).fill(Number.NaN));
  const state = arrayJson("uint8", shape, Array(CELLS).fill(0));
  return makeResult({ id: sweep, values: nothing, normalized: nothing, state });
}

export function makePartial(cells: number[], normalized: number[]): PartialJson {
  const n = cells.length;
  return {
    cells: arrayJson("int32", [n], cells),
    values: arrayJson("float32", [n], normalized),
    normalized: arrayJson("float32", [n], normalized),
    state: arrayJson("uint8", [n], Array(n).fill(1)),
    agreement: null,
    top: {
      ids: arrayJson(
        "int32",
        [n, 1],
        cells.map(() => 3),
      ),
      logits: arrayJson(
        "float32",
        [n, 1],
        cells.map(() => 5),
      ),
      probs: arrayJson(
        "float32",
        [n, 1],
        cells.map(() => 0.5),
      ),
    },
    tokens: { "3": "<script>" },
  };
}

const ENTRIES = [
  {
    activation: "resid_pre",
    axes: ["layer", "position"],
    label: "resid_pre",
    help: "before the block",
    reason: null,
  },
  { activation: "z", axes: ["layer", "head"], label: "z, by head", help: "heads' outputs", reason: null },
  { activation: "q", axes: ["layer", "head"], label: "q, by head", help: "queries", reason: "no such hook" },
];

export function heatmapTraits(change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    schema: SCHEMA_VERSION,
    info: {
      activations: ENTRIES,
      metrics: [{ name: "logit_diff", label: "logit difference", help: "clean minus corrupt" }],
      directions: [
        { name: "denoise", label: "clean \u2192 corrupt", help: "" },
        { name: "noise", label: "corrupt \u2192 clean", help: "" },
      ],
    },
    status: "done",
    progress: { done: 6, total: 6, seconds_left: 0 },
    error: null,
    selection: null,
    activation: "resid_pre",
    axes: ["layer", "position"],
    metric: "logit_diff",
    direction: "denoise",
    result: makeResult(),
    layer_zero: "bottom",
    ...change,
  };
}

export const PAIR = {
  clean: "The capital of Norway is",
  corrupt: "The capital of Sweden is",
  clean_answer: " Oslo",
  corrupt_answer: " Stockholm",
  score_first_token: false,
  alignment: null,
};
export const FRANCE = { ...PAIR, clean: "The capital of France is", clean_answer: " Paris" };
export const ITALY = { ...PAIR, clean: "The capital of Italy is", clean_answer: " Rome" };

export function editorTraits(change: Record<string, unknown> = {}): Record<string, unknown> {
  const list = (tokens: string[]) => ({ ids: tokens.map((_, i) => i + 10), tokens });
  return {
    schema: SCHEMA_VERSION,
    info: { templates: [{ name: "capitals", label: "Capitals", pairs: [FRANCE, ITALY] }] },
    status: "done",
    progress: { done: 0, total: 0, seconds_left: null },
    error: null,
    selection: null,
    pair: PAIR,
    metric: "logit_diff",
    reading: null,
    tokens: {
      clean: list(CLEAN),
      corrupt: list(CORRUPT),
      clean_answer: { ...list([" Oslo"]), starts: [0] },
      corrupt_answer: { ...list([" Stockholm"]), starts: [0] },
      columns: CLEAN.map((token, i) => ({ clean: i, corrupt: i, same: token === CORRUPT[i] })),
      warnings: [],
    },
    ...change,
  };
}

/** A model whose requests are kept, to be answered by the test; `present` are those that say which views are shown. */
export function modelWithKernel(traits: Record<string, unknown>) {
  const sent: Sent[] = [];
  const present: Sent[] = [];
  const model = new MemoryModel(traits, (message) => {
    const request = message as Sent;
    (["shown", "hidden"].includes(request.method) ? present : sent).push(request);
  });
  const answer = (event: string, request = sent.at(-1), more: object = {}) =>
    model.receive({ kind: "event", id: request?.id ?? "none", event, ...more });
  return { model, sent, present, answer };
}

type Widget = () => {
  initialize(context: { model: MemoryModel }): () => void;
  render(context: { model: MemoryModel; el: HTMLElement }): () => void;
};

/** Mounts `views` views of one model, as a host does. */
export function mountWidget(create: Widget, model: MemoryModel, views = 1) {
  const widget = create();
  const dispose = widget.initialize({ model });
  const els = Array.from({ length: views }, () => document.body.appendChild(document.createElement("div")));
  const unmounts = els.map((el) => widget.render({ model, el }));
  const cleanup = () => {
    for (const unmount of unmounts) unmount();
    dispose();
    for (const el of els) el.remove();
  };
  return { els, el: els[0] as HTMLElement, cleanup };
}

/** The part of a view that its `data-hs` names. */
export function part<T extends HTMLElement = HTMLElement>(el: ParentNode, name: string): T {
  const found = el.querySelector<T>(`[data-hs="${name}"]`);
  if (!found) throw new Error(`no part "${name}" in the view`);
  return found;
}

export const maybe = (el: ParentNode, name: string) => el.querySelector<HTMLElement>(`[data-hs="${name}"]`);

/** Resolves after the messages that were posted before, among them those by which Preact draws. */
function message(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port2.onmessage = () => {
      port1.close();
      resolve();
    };
    port1.postMessage(null);
  });
}

/** Lets Preact and the next frame do what they have scheduled. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    await new Promise((resolve) => setTimeout(resolve)); // Preact's effects come after a frame's own tasks
    await message();
  }
}

export function press(el: HTMLElement, key: string, options: KeyboardEventInit = {}): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...options });
  el.dispatchEvent(event);
  return event;
}

export function write(el: HTMLElement, name: string, text: string): void {
  const field = part<HTMLTextAreaElement>(el, `input-${name}`);
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/** The controls without a title of their own or of a label around them. A token is named by the strip that it is in. */
export function unexplained(el: Element): string[] {
  const controls = el.querySelectorAll("button, select, input, textarea, summary");
  return [...controls]
    .filter((control) => !control.matches(".hs-chip") && !control.closest("[title]:not([title=''])"))
    .map((control) => control.outerHTML);
}
