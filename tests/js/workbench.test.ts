// The workbench around views of other widgets, which a fake host gives it.
import { afterEach, expect, test, vi } from "vitest";
import { MemoryModel } from "../../js/report/memory_model";
import { SCHEMA_VERSION } from "../../js/wire/requests";
import workbench from "../../js/workbench";
import { maybe, part, press, settled, unexplained, write as writeIn } from "./helpers";

const INFO = {
  model: { name: "tiny", n_layers: 4, n_heads: 4, device: "cpu" },
  kinds: [
    { name: "heatmap", label: "Patching", help: "where" },
    { name: "circuit", label: "Circuit", help: "edges" },
  ],
};
const TRAITS = {
  schema: SCHEMA_VERSION,
  info: INFO,
  panels: ["anywidget:a", "anywidget:b", "anywidget:c"],
  names: ["Prompts", "Patching", "Lens"],
  split: 0.5,
  enlarged: null,
  selection: null,
  card: null,
  steps: [
    { view: "", words: "opened", time: 1_700_000_000 },
    { view: "Patching", words: "activation z", time: 1_700_000_060 },
    { view: "", words: "pinned layer 2, head 1", time: 1_700_000_120 },
  ],
  at: 1,
  snapshots: [],
  notes: "",
  prose: [],
  error: null,
  status: "idle",
};

let cleanup = () => {};
afterEach(() => {
  cleanup();
  cleanup = () => {};
});

/** @param width of the page; happy-dom lays nothing out, and its observers say nothing. */
async function show(traits: Record<string, unknown> = {}, width = 1200, host = fakeHost()) {
  const sent: { method: string; params: Record<string, unknown>; id: string }[] = [];
  const model = new MemoryModel({ ...TRAITS, ...traits }, (message) => sent.push(message as never));
  vi.stubGlobal(
    "ResizeObserver",
    class {
      constructor(private readonly told: (entries: unknown[], observer: unknown) => void) {}
      observe() {
        this.told([{ contentRect: { width } }], this);
      }
      disconnect() {}
    },
  );
  const made = workbench();
  const leave = made.initialize({ model });
  const el = document.createElement("div");
  document.body.append(el);
  const unmount = made.render({ model, el, ...(host ? { host } : {}) });
  cleanup = () => {
    unmount();
    leave();
    el.remove();
    vi.unstubAllGlobals();
  };
  await settled();
  return {
    el,
    model,
    requests: () => sent.filter(({ method }) => !["shown", "hidden"].includes(method)),
    host,
  };
}

function fakeHost() {
  const gone: string[] = [];
  return {
    gone,
    getWidget: async (ref: string) => ({
      render: async ({ el, signal }: { el: HTMLElement; signal: AbortSignal }) => {
        el.textContent = ref;
        signal.addEventListener("abort", () => gone.push(ref));
      },
    }),
  };
}

const slots = (el: HTMLElement) =>
  [...el.querySelectorAll<HTMLElement>("[data-hs=slot]")].map(
    (slot) => slot.ariaLabel ?? slot.getAttribute("aria-label"),
  );
const inSlot = (el: HTMLElement, at: number, name: string) =>
  part(el.querySelector(`[data-hs=slot][data-at="${at}"]`) as HTMLElement, name);

test("all views are shown side by side, each by its own widget", async () => {
  const { el } = await show();
  expect(slots(el)).toEqual(["Prompts", "Patching", "Lens"]);
  expect(inSlot(el, 1, "double").closest("section")?.textContent).toContain("anywidget:b");
  expect(part(el, "card").textContent).toContain("Nothing pinned");
  expect(unexplained(el)).toEqual([]);
});

test("where there is little room they are tabs", async () => {
  const { el } = await show({}, 500);
  expect(slots(el)).toEqual(["Prompts"]);
  el.querySelectorAll<HTMLElement>("[role=tab]")[2]?.click();
  await settled();
  expect(slots(el)).toEqual(["Lens"]);
  expect(el.textContent).toContain("anywidget:c");
});

test("a view that is no longer shown is told so", async () => {
  const { model, host } = await show();
  model.set("panels", ["anywidget:a", "anywidget:c"]);
  model.set("names", ["Prompts", "Lens"]);
  await settled();
  expect(host?.gone).toContain("anywidget:b");
  expect(host?.gone).not.toContain("anywidget:c");
});

test("enlarging is a choice of the view, and leads back", async () => {
  const { el, model } = await show();
  inSlot(el, 2, "enlarge").click();
  await settled();
  expect(model.get("enlarged")).toBe(2);
  expect(slots(el)).toEqual(["Lens"]);
  inSlot(el, 2, "enlarge").click();
  await settled();
  expect(model.get("enlarged")).toBeNull();
  expect(slots(el)).toHaveLength(3);
});

test("views are added, doubled and closed by the kernel; the editor stays", async () => {
  const { el, requests } = await show();
  const add = part<HTMLSelectElement>(el, "add-view");
  add.value = "1";
  add.dispatchEvent(new Event("change", { bubbles: true }));
  inSlot(el, 1, "double").click();
  inSlot(el, 2, "close").click();
  expect(requests().map(({ method, params }) => [method, params])).toEqual([
    ["add_view", { kind: "circuit" }],
    ["double_view", { at: 1 }],
    ["close_view", { at: 2 }],
  ]);
  expect(maybe(el.querySelector('[data-hs=slot][data-at="0"]') as HTMLElement, "close")).toBeNull();
});

test("the columns' width changes by the keyboard, within bounds", async () => {
  const { el, model } = await show();
  press(part(el, "divider"), "ArrowRight");
  expect(model.get("split")).toBeCloseTo(0.55);
  model.set("split", 0.75);
  await settled();
  press(part(el, "divider"), "ArrowRight");
  expect(model.get("split")).toBe(0.75);
});

test("the card says what changing the pinned place does", async () => {
  const effect = (value: number) => ({ effect: value, value: 10 * value, token: " Oslo" });
  const { el } = await show({
    selection: { layer: 2, head: 1 },
    card: {
      place: { layer: 2, head: 1 },
      activation: "z",
      positions: false,
      patched: effect(0.84),
      zeroed: effect(-0.64),
      averaged: null,
    },
  });
  const text = part(el, "card").textContent ?? "";
  expect(text).toContain("layer 2, head 1");
  expect(text).toContain("z, all positions");
  expect(text).toContain("patched 0.84 (+8.40)");
  expect(text).toContain("zeroed \u22120.64");
  expect(text).not.toContain("averaged");
});

async function showRecord(traits: Record<string, unknown> = {}) {
  const shown = await show(traits);
  part(shown.el, "record-toggle").click();
  await settled();
  return shown;
}

test("undo and redo name the step, and are off where there is none", async () => {
  const { el, model, requests } = await show();
  expect(part(el, "undo-step").title).toBe("Undo: activation z (Ctrl+Z)");
  expect(part(el, "redo-step").title).toBe("Redo: pinned layer 2, head 1 (Ctrl+Shift+Z)");
  part(el, "undo-step").click();
  part(el, "redo-step").click();
  expect(requests().map(({ method }) => method)).toEqual(["undo", "redo"]);
  model.set("at", 0);
  model.set("steps", [{ view: "", words: "opened", time: 0 }]);
  await settled();
  expect(part<HTMLButtonElement>(el, "undo-step").disabled).toBe(true);
  expect(part<HTMLButtonElement>(el, "redo-step").disabled).toBe(true);
});

test("Ctrl+Z undoes a step, but not while one types", async () => {
  const { el, requests } = await showRecord();
  const root = part(el, "workbench");
  expect(press(root, "z", { ctrlKey: true }).defaultPrevented).toBe(true);
  press(root, "Z", { ctrlKey: true, shiftKey: true });
  press(root, "z");
  expect(press(part(el, "input-notes"), "z", { ctrlKey: true }).defaultPrevented).toBe(false);
  expect(requests().map(({ method }) => method)).toEqual(["undo", "redo"]);
});

test("the history lists steps, and a click goes to the state after one", async () => {
  const { el, requests } = await showRecord();
  const steps = [...part(el, "steps").querySelectorAll("button")];
  expect(steps.map((step) => step.querySelector(".hs-step-words")?.textContent)).toEqual([
    "opened",
    "Patching: activation z",
    "pinned layer 2, head 1",
  ]);
  expect(steps.map((step) => step.getAttribute("aria-current"))).toEqual([null, "step", null]);
  steps[2]?.click();
  expect(requests()).toMatchObject([{ method: "go_to", params: { step: 2 } }]);
  expect(unexplained(el)).toEqual([]);
});

test.each(["commands", "interp_backend", "transformerlens"])(
  "what was done is copied as %s",
  async (form) => {
    const writeText = vi.fn(async () => {});
    vi.stubGlobal("navigator", { clipboard: { writeText } });
    const { el, model, requests } = await showRecord();
    part(el, `copy-${form}`).click();
    expect(requests()).toMatchObject([{ method: "script", params: { form } }]);
    model.receive({ kind: "event", id: requests()[0]?.id, event: "file", format: "py", text: "code" });
    await settled();
    expect(writeText).toHaveBeenCalledWith("code");
    expect(part(el, `copy-${form}`).textContent).toBe("Copied");
  },
);

test("a state is kept under a name, comes back, and is dropped", async () => {
  const { el, model, requests } = await showRecord();
  expect(part<HTMLButtonElement>(el, "keep").disabled).toBe(true);
  writeIn(el, "snapshot", "  the heads ");
  await settled();
  part(el, "keep").click();
  await settled();
  expect(part<HTMLInputElement>(el, "input-snapshot").value).toBe("");
  model.set("snapshots", ["the heads"]);
  await settled();
  part(el, "restore").click();
  part(el, "forget").click();
  expect(requests().map(({ method, params }) => [method, params.name])).toEqual([
    ["snapshot", "the heads"],
    ["restore", "the heads"],
    ["forget", "the heads"],
  ]);
});

test("notes are written as Markdown and shown as elements, none of which could run anything", async () => {
  const { el, model } = await showRecord();
  writeIn(el, "notes", "# Seen");
  expect(model.get("notes")).toBe("# Seen");
  model.set("prose", [
    ["h1", {}, ["Seen ", ["em", {}, ["here"]]]],
    ["script", {}, ["alert(1)"]],
    [
      "p",
      {},
      [
        ["a", { href: "javascript:alert(1)" }, ["bad"]],
        ["a", { href: "https://a.org" }, ["good"]],
      ],
    ],
    ["img", { href: "x", onerror: "alert(1)" }, []],
    "<b>text</b>",
  ]);
  await settled();
  const prose = part(el, "prose");
  expect(prose.querySelector("h1 em")?.textContent).toBe("here");
  expect([...prose.querySelectorAll("a")].map((a) => a.getAttribute("href"))).toEqual([
    null,
    "https://a.org",
  ]);
  expect(prose.querySelector("script, img, b, [onerror]")).toBeNull();
  expect(prose.textContent).toContain("<b>text</b>");
});

test("a notebook that can't show views inside a view says what to do", async () => {
  const { el } = await show({}, 1200, null as never);
  expect(part(el, "no-host").textContent).toContain("hs.link");
  expect(slots(el)).toEqual([]);
});

test("a view that can't be shown is named, and the others are there", async () => {
  const host = fakeHost();
  const { getWidget } = host;
  host.getWidget = (ref) => (ref === "anywidget:b" ? Promise.reject(new Error("gone")) : getWidget(ref));
  const { el } = await show({}, 1200, host);
  await settled();
  expect(el.textContent).toContain("This view can't be shown: gone");
  expect(el.textContent).toContain("anywidget:c");
});

test("saved by another version, it says so", async () => {
  const { el } = await show({ schema: 0 });
  expect(el.textContent).toContain("older Hookscope");
});
