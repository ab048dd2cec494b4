// The script of a saved page, which mounts its views without a kernel.
import views from "hookscope:views";
import { fitFrame } from "../panels/circuitsvis/frame";
import { SCHEMA_VERSION } from "../wire/requests";
import { MemoryModel } from "./memory_model";
import css from "./style.css";

type Value = { own: unknown } | { shared: number };

interface Page {
  schema_version: number;
  /** Values that several views have. */
  shared: unknown[];
  views: { widget: string; state: Record<string, Value> }[];
}

/** Pixels across A4 or Letter between common margins. */
const PAPER = 680;

mountPage();

async function mountPage(): Promise<void> {
  const data = document.getElementById("hookscope-page");
  if (!data) return;
  const style = document.createElement("style");
  style.textContent = css;
  document.head.append(style);
  fitFrame();
  addEventListener("beforeprint", fitPaper);
  const page = await unpack(data.textContent ?? "");
  const places = [...document.querySelectorAll<HTMLElement>("[data-view]")];
  for (const el of places) {
    const view = page.views[Number(el.dataset.view)];
    if (page.schema_version !== SCHEMA_VERSION)
      el.textContent = `This page has format ${page.schema_version}, and its script reads format ${SCHEMA_VERSION}.`;
    else if (view) mountView(el, view, page.shared);
  }
}

/** A view can't draw itself anew while the browser prints. So it keeps its width, and becomes smaller as a whole. */
function fitPaper(): void {
  for (const el of document.querySelectorAll<HTMLElement>(".hs-report-view")) {
    el.style.setProperty("--hs-drawn", `${el.clientWidth}px`);
    el.style.setProperty("--hs-shrink", String(Math.min(1, PAPER / el.clientWidth)));
  }
}

async function unpack(packed: string): Promise<Page> {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return (await new Response(stream).json()) as Page;
}

function mountView(el: HTMLElement, { widget, state }: Page["views"][number], shared: unknown[]): void {
  const create = Object.hasOwn(views, widget) ? views[widget] : undefined;
  if (!create) {
    el.textContent = `This page's script has no view "${widget}".`;
    return;
  }
  el.className = "hs-report-view";
  const traits = Object.entries(state).map(([name, value]) => [
    name,
    "own" in value ? value.own : shared[value.shared],
  ]);
  const model = new MemoryModel(Object.fromEntries(traits));
  const made = create();
  made.initialize({ model });
  made.render({ model, el });
}
