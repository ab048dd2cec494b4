// A circuit graph on a page, taken away after each test, and what tests do with its parts.
import { afterEach } from "vitest";
import circuitGraph from "../../../js/panels/circuit_graph";
import { MemoryModel } from "../../../js/report/memory_model";
import { modelWithKernel, mountWidget, part, settled } from "../helpers";
import { circuitTraits } from "./circuits";

let cleanup = () => {};
afterEach(() => {
  cleanup();
  cleanup = () => {};
});

export async function showCircuit(traits: Record<string, unknown> = circuitTraits(), views = 1) {
  const kernel = modelWithKernel(traits);
  const mounted = mountWidget(circuitGraph, kernel.model, views);
  cleanup = mounted.cleanup;
  await settled();
  return { ...kernel, ...mounted };
}

/** As in a saved page. */
export async function circuitWithoutKernel(traits: Record<string, unknown> = circuitTraits()) {
  const model = new MemoryModel(traits);
  const mounted = mountWidget(circuitGraph, model);
  cleanup = mounted.cleanup;
  await settled();
  return { model, ...mounted };
}

export function node(el: HTMLElement, name: string): HTMLButtonElement {
  const found = el.querySelector<HTMLButtonElement>(`[data-node="${name}"]`);
  if (!found) throw new Error(`no node "${name}" in the picture`);
  return found;
}

export const nodeNames = (el: HTMLElement) =>
  [...el.querySelectorAll<HTMLElement>("[data-node]")].map(({ dataset }) => dataset.node);

export async function click(element: HTMLElement) {
  element.click();
  await settled();
}

/** With a real pointer these come before a click. */
export async function pointAt(element: HTMLElement, over = true) {
  element.dispatchEvent(new PointerEvent(over ? "pointerenter" : "pointerleave"));
  await settled();
}

/** The rows of a list of edges or senders, each as its words. */
export const rowsOf = (el: HTMLElement, name: string) =>
  [...part(el, name).querySelectorAll("li")].map((row) => row.textContent);

export const rowButton = (el: HTMLElement, name: string, index: number) =>
  part(el, name).querySelectorAll("li")[index]?.firstElementChild as HTMLElement;

/** Moves the thumb; `release` is what a browser tells at the end. */
export async function drag(el: HTMLElement, at: number, release = false) {
  const slider = part<HTMLInputElement>(el, "edges");
  slider.value = String(at);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  if (release) slider.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
}
