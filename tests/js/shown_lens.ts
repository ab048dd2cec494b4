// A lens on a page, taken away after each test, and what tests do with its cells.
import { afterEach } from "vitest";
import logitLensGrid from "../../js/panels/logit_lens_grid";
import { MemoryModel } from "../../js/report/memory_model";
import { modelWithKernel, mountWidget, part, settled } from "./helpers";
import { lensTraits } from "./lenses";

let cleanup = () => {};
afterEach(() => {
  cleanup();
  cleanup = () => {};
});

export async function showLens(traits: Record<string, unknown> = lensTraits(), views = 1) {
  const kernel = modelWithKernel(traits);
  const mounted = mountWidget(logitLensGrid, kernel.model, views);
  cleanup = mounted.cleanup;
  await settled();
  return { ...kernel, ...mounted };
}

/** As in a saved page. */
export async function lensWithoutKernel(traits: Record<string, unknown> = lensTraits()) {
  const model = new MemoryModel(traits);
  const mounted = mountWidget(logitLensGrid, model);
  cleanup = mounted.cleanup;
  await settled();
  return { model, ...mounted };
}

/** happy-dom lays nothing out: the cells' box is at 0, 0. Layer 0 is at the bottom. */
export function pointAt(el: HTMLElement, row: number, column: number) {
  const area = part(el, "cells");
  const [rows, columns] = ["aria-rowcount", "aria-colcount"].map((name) => Number(area.getAttribute(name)));
  const width = Number.parseFloat(area.style.width) / (columns ?? 1);
  const height = Number.parseFloat(area.style.height) / (rows ?? 1);
  return { clientX: column * width + 3, clientY: ((rows ?? 1) - 1 - row) * height + 3, bubbles: true };
}

export async function hoverAt(el: HTMLElement, row: number, column: number) {
  part(el, "cells").dispatchEvent(new PointerEvent("pointermove", pointAt(el, row, column)));
  await settled();
}

export async function pinAt(el: HTMLElement, row: number, column: number) {
  part(el, "cells").dispatchEvent(new MouseEvent("click", pointAt(el, row, column)));
  await settled();
}

export function enter(field: HTMLElement, text: string): void {
  (field as HTMLTextAreaElement).value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

export const cellWords = (el: HTMLElement, index: number) =>
  el.querySelector(`[data-cell="${index}"][role]`)?.textContent;
