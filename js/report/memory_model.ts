// A model without a notebook, for reports and for tests, in which `onSend` plays the kernel.
import type { Listener, ViewModel } from "../lib/model";

export class MemoryModel implements ViewModel {
  readonly readonly: boolean;
  #state: Map<string, unknown>;
  #listeners = new Map<string, Set<Listener>>();
  #onSend: ((message: unknown, model: MemoryModel) => void) | undefined;

  constructor(state: Record<string, unknown>, onSend?: (message: unknown, model: MemoryModel) => void) {
    this.#state = new Map(Object.entries(state));
    this.#onSend = onSend;
    this.readonly = onSend === undefined;
  }

  get(name: string): unknown {
    return this.#state.get(name);
  }

  set(name: string, value: unknown): void {
    if (Object.is(this.#state.get(name), value)) return;
    this.#state.set(name, value);
    this.#emit(`change:${name}`, this, value);
    this.#emit("change", this);
  }

  /** Does nothing, because there is no kernel to save to. */
  save_changes(): void {}

  on(event: string, callback: Listener): void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(callback));
  }

  off(event: string, callback: Listener): void {
    this.#listeners.get(event)?.delete(callback);
  }

  send(message: unknown): void {
    this.#onSend?.(message, this);
  }

  /** Delivers a message as if the kernel had sent it. */
  receive(message: unknown): void {
    this.#emit("msg:custom", message, []);
  }

  #emit(event: string, ...args: unknown[]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) listener(...args);
  }
}
