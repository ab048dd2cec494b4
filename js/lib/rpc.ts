// Requests to the kernel and the events that answer them. One Rpc belongs to one model, whatever the number of
// its views. The newest request of a method wins: events of older ones are dropped.
import { listen, type ViewModel } from "./model";
import { Store } from "./store";

export interface KernelEvent {
  kind: "event";
  id: string;
  /** "accepted", "result", "error" or "cancelled", or the name of what comes before the result. */
  event: string;
  [key: string]: unknown;
}

/** How long the oldest unanswered request has been waiting for the kernel. */
export type Waiting = "no" | "short" | "long";

const SHORT_MS = 400;
const LONG_MS = 10_000;

export class Rpc {
  readonly waiting = new Store<Waiting>("no");
  #model: ViewModel;
  #client = Math.random().toString(36).slice(2, 10);
  #count = 0;
  #latest = new Map<string, string>();
  #handlers = new Set<(event: KernelEvent) => void>();
  #timers: ReturnType<typeof setTimeout>[] = [];
  #stop: () => void;

  constructor(model: ViewModel) {
    this.#model = model;
    this.#stop = listen(model, "msg:custom", (message) => this.#receive(message));
  }

  request(method: string, params: Record<string, unknown>): string {
    const id = `${this.#client}:${method}:${++this.#count}`;
    this.#latest.set(method, id);
    this.#expectAnswer();
    try {
      this.#model.send({ kind: "request", id, method, params });
    } catch {
      this.#answered();
      this.waiting.set("long"); // the kernel was restarted or has closed the widget: nobody will answer
    }
    return id;
  }

  onEvent(handler: (event: KernelEvent) => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  dispose(): void {
    this.#stop();
    this.#answered();
    this.#handlers.clear();
  }

  #receive(message: unknown): void {
    if (!isKernelEvent(message)) return;
    this.#answered();
    if (this.#superseded(message.id)) return;
    for (const handler of [...this.#handlers]) handler(message);
  }

  /** Ids of other clients and of Python ("py-...") are never ours to drop. */
  #superseded(id: string): boolean {
    const [client, method] = id.split(":");
    return client === this.#client && method !== undefined && this.#latest.get(method) !== id;
  }

  #expectAnswer(): void {
    if (this.#timers.length > 0) return;
    this.#timers = [
      setTimeout(() => this.waiting.set("short"), SHORT_MS),
      setTimeout(() => this.waiting.set("long"), LONG_MS),
    ];
  }

  #answered(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
    this.waiting.set("no");
  }
}

function isKernelEvent(message: unknown): message is KernelEvent {
  if (typeof message !== "object" || message === null) return false;
  const { kind, id, event } = message as Record<string, unknown>;
  return kind === "event" && typeof id === "string" && typeof event === "string";
}
