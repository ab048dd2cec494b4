// The script of a saved page, which mounts its views without a kernel.
import views from "hookscope:views";
import { fitFrame } from "../panels/circuitsvis/frame";
import { SCHEMA_VERSION } from "../wire/requests";
import { MemoryModel } from "./memory_model";
import css from "./style.css";

interface Page {
  schema_version: number;
  title: string;
  views: { widget: string; caption: string; state: Record<string, unknown> }[];
}

mountPage();

function mountPage(): void {
  const data = document.getElementById("hookscope-page");
  if (!data) return;
  const page = JSON.parse(data.textContent ?? "") as Page;
  const main = viewsElement();
  const style = document.createElement("style");
  style.textContent = css;
  document.head.append(style);
  fitFrame();
  if (page.schema_version !== SCHEMA_VERSION) {
    say(main, `This page has format ${page.schema_version}, and its script reads format ${SCHEMA_VERSION}.`);
    return;
  }
  if (page.title && !document.querySelector("h1")) main.append(heading(page.title));
  for (const { widget, caption, state } of page.views) {
    say(main, caption);
    mountView(main, widget, state);
  }
}

function mountView(main: HTMLElement, name: string, state: Record<string, unknown>): void {
  const create = Object.hasOwn(views, name) ? views[name] : undefined;
  if (!create) {
    say(main, `This page's script has no view "${name}".`);
    return;
  }
  const el = document.createElement("div");
  el.className = "hs-report-view";
  main.append(el);
  const model = new MemoryModel(state);
  const widget = create();
  widget.initialize({ model });
  widget.render({ model, el });
}

function viewsElement(): HTMLElement {
  const found = document.getElementById("hookscope-views");
  if (found) return found;
  const main = document.createElement("main");
  main.id = "hookscope-views";
  document.body.append(main);
  return main;
}

function heading(text: string): HTMLElement {
  const h1 = document.createElement("h1");
  h1.textContent = text;
  return h1;
}

function say(main: HTMLElement, sentence: string): void {
  const p = document.createElement("p");
  p.textContent = sentence;
  main.append(p);
}
