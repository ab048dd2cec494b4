// A heatmap on a page, taken away after each test, and what tests do with its cells.
import { afterEach } from "vitest";
import patchHeatmap from "../../js/panels/patch_heatmap";
import { MemoryModel } from "../../js/report/memory_model";
import { heatmapTraits, modelWithKernel, mountWidget, part, settled } from "./helpers";

let cleanup = () => {};
afterEach(() => {
  cleanup();
  cleanup = () => {};
});

export async function show(traits: Record<string, unknown> = {}, views = 1) {
  const kernel = modelWithKernel(heatmapTraits(traits));
  const mounted = mountWidget(patchHeatmap, kernel.model, views);
  cleanup = mounted.cleanup;
  await settled();
  return { ...kernel, ...mounted };
}

/** As in a saved page. */
export async function withoutKernel(traits: Record<string, unknown>) {
  const model = new MemoryModel(heatmapTraits(traits));
  const mounted = mountWidget(patchHeatmap, model);
  cleanup = mounted.cleanup;
  await settled();
  return { model, ...mounted };
}

export function choose(el: HTMLElement, name: string, index: number): void {
  const menu = part<HTMLSelectElement>(el, name);
  menu.value = String(index);
  menu.dispatchEvent(new Event("change", { bubbles: true }));
}

export const cellText = (el: HTMLElement, index: number) =>
  el.querySelector(`[data-cell="${index}"][role]`)?.textContent;

/** happy-dom lays nothing out: the cells' box is at 0, 0, and columns are as wide as the layout says. */
export function clickCell(el: HTMLElement, index: number, options: MouseEventInit = {}) {
  const area = part(el, "cells");
  const columns = Number(part(el, "grid").getAttribute("aria-colcount"));
  const rows = Number(part(el, "grid").getAttribute("aria-rowcount"));
  const width = Number.parseFloat(area.style.width) / columns;
  const height = Number.parseFloat(area.style.height) / rows;
  const drawn = rows - 1 - Math.floor(index / columns);
  const at = {
    clientX: (index % columns) * width + 5,
    clientY: drawn * height + 5,
    bubbles: true,
    ...options,
  };
  area.dispatchEvent(new MouseEvent("click", at));
}
