// The part of anywidget's model that views use, so that the same view also runs
// on a MemoryModel in reports and tests.
import { useEffect, useReducer } from "preact/hooks";
import type { Place } from "./place";

export type Listener = (...args: unknown[]) => void;

export interface ViewModel {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  on(event: string, callback: Listener): void;
  off(event: string, callback: Listener): void;
  send(message: unknown): void;
  /** True if no kernel can answer, as in a saved page. */
  readonly readonly?: boolean;
}

export type Status = "idle" | "queued" | "running" | "done" | "cancelled" | "error";
export const isBusy = (status: Status | undefined): boolean => status === "queued" || status === "running";

export interface Progress {
  done: number;
  total: number;
  seconds_left: number | null;
  /** How much of the next unit is done, from 0 to 1, where a unit takes long. */
  within?: number;
}
export interface Failure {
  message: string;
  /** The name of the invalid parameter. */
  field?: string | null;
  /** The traceback of a user's own function that failed. */
  traceback?: string | null;
  remedy?: Remedy | null;
}
/** A request that would fix an error, and the label of the button that sends it. */
export interface Remedy {
  label: string;
  method: string;
  params: Record<string, unknown>;
}

export function trait<T>(model: ViewModel, name: string): T {
  return model.get(name) as T;
}

export function listen(model: ViewModel, event: string, callback: Listener): () => void {
  model.on(event, callback);
  return () => model.off(event, callback);
}

export function useTrait<T>(model: ViewModel, name: string): T {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const value = model.get(name);
  useEffect(() => {
    // The trait may have changed between the render and this effect.
    if (model.get(name) !== value) redraw(undefined);
    return listen(model, `change:${name}`, () => redraw(undefined));
  }, [model, name]);
  return value as T;
}

/** Sets a trait that views may set directly; other traits change only through requests. */
export function write(model: ViewModel, name: string, value: unknown): void {
  model.set(name, value);
  model.save_changes();
}

/** Whether new results can be requested. Without a kernel, or if the widget was made from a bare result, controls that
 *  would request one are left out. */
export function canAsk(model: ViewModel): boolean {
  return !model.readonly && trait<{ model?: unknown } | undefined>(model, "info")?.model !== null;
}

/** Whether layer 0 is at the bottom. */
export const useRising = (model: ViewModel): boolean => useTrait<string>(model, "layer_zero") !== "top";

let pinning = false;
/** Whether a view is pinning a place at this moment. What Python pins it also pins in the views that share it. */
export const isPinning = (): boolean => pinning;

/** The pinned place, which every view may set. */
export function select(model: ViewModel, place: Place | null): void {
  const before = pinning;
  pinning = true;
  write(model, "selection", place);
  pinning = before;
}

export const useSelection = (model: ViewModel): Place | null =>
  useTrait<Place | null | undefined>(model, "selection") ?? null;
