// An attention viewer on a page, taken away after each test, and what tests do with it.
import { afterEach } from "vitest";
import attentionViewer from "../../../js/panels/attention_viewer";
import { MemoryModel } from "../../../js/report/memory_model";
import { modelWithKernel, mountWidget, part, settled } from "../helpers";
import { viewerTraits } from "./viewers";

let cleanup = () => {};
afterEach(() => {
  cleanup();
  cleanup = () => {};
});

export async function showViewer(traits: Record<string, unknown> = viewerTraits(), views = 1) {
  const kernel = modelWithKernel(traits);
  const mounted = mountWidget(attentionViewer, kernel.model, views);
  cleanup = mounted.cleanup;
  await settled();
  return { ...kernel, ...mounted, asked: (method: string) => kernel.sent.filter((m) => m.method === method) };
}

/** As in a saved page. */
export async function viewerWithoutKernel(traits: Record<string, unknown>) {
  const model = new MemoryModel(traits);
  const mounted = mountWidget(attentionViewer, model);
  cleanup = mounted.cleanup;
  await settled();
  return { model, ...mounted };
}

/** happy-dom lays nothing out: every part's box is at 0, 0. */
export async function clickAt(el: HTMLElement, x: number, y: number, options: MouseEventInit = {}) {
  el.dispatchEvent(new MouseEvent("click", { clientX: x, clientY: y, bubbles: true, ...options }));
  await settled();
}

export async function hoverAt(el: HTMLElement, x: number, y: number) {
  el.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true }));
  await settled();
}

/** The middle of a head's picture: layer 0 is at the bottom. */
export function headPoint(el: HTMLElement, row: number, column: number, rows = 2, columns = 3) {
  const { width, height } = part(el, "cells").style;
  const [w, h] = [Number.parseFloat(width) / columns, Number.parseFloat(height) / rows];
  return [(column + 0.5) * w, (rows - 1 - row + 0.5) * h] as const;
}

export const token = (el: HTMLElement, i: number) =>
  el.querySelector<HTMLElement>(`[data-token="${i}"]`) as HTMLElement;

export async function pointAtToken(el: HTMLElement, i: number) {
  token(el, i).dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
  await settled();
}

export async function chooseIn(el: HTMLElement, name: string, value: string) {
  const menu = part<HTMLSelectElement>(el, name);
  menu.value = value;
  menu.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
}
