// Requests to the kernel and the events that answer them. There is one Rpc for each model, however many views it has.
// Python answers each request at once with "accepted", and at its end with "result", "error" or "cancelled".
// The newest request of a method wins: events of older ones are dropped.
import type { Requests } from "../wire/requests";
import { listen, type ViewModel } from "./model";
import { Store } from "./store";
import { randomId } from "./unique_id";

export interface KernelEvent {
  kind: "event";
  /** The id of the request, or of a task that Python started by itself. */
  id: string;
  /** "accepted", "result", "error" or "cancelled", or the name of an event before the result. */
  event: string;
  [key: string]: unknown;
}

/** How long the oldest unanswered request has been waiting for the kernel. */
export type Waiting = "no" | "short" | "long";

const SHORT_MS = 400;
const LONG_MS = 10_000;
const ENDS = new Set(["result", "error", "cancelled"]);

/** Whether a request or a task ends with this event. */
export const isEnd = ({ event }: KernelEvent): boolean => ENDS.has(event);

export type RequestName = keyof Requests;

/** The parameters of a request; not changed after sending. */
type Sent<T> = { readonly [Key in keyof T]: Sent<T[Key]> };

export class Rpc {
  readonly waiting = new Store<Waiting>("no");
  /** The newest unfinished request of each method. */
  readonly pending = new Store<ReadonlyMap<string, string>>(new Map());
  #model: ViewModel;
  #client = randomId();
  #count = 0;
  #latest = new Map<string, string>();
  /** Requests without any answer from the kernel yet, oldest first. */
  #unanswered = new Set<string>();
  #handlers = new Set<(event: KernelEvent) => void>();
  #timers: ReturnType<typeof setTimeout>[] = [];
  #stop: () => void;

  constructor(model: ViewModel) {
    this.#model = model;
    this.#stop = listen(model, "msg:custom", (message) => this.#receive(message));
  }

  request<Method extends RequestName>(method: Method, params: Sent<Requests[Method]>): string {
    return this.requestNamed(method, params);
  }

  /** Sends a request whose name comes from Python, such as a menu's method or the remedy for an error. */
  requestNamed(method: string, params: object): string {
    const id = `${this.#client}:${method}:${++this.#count}`;
    this.#latest.set(method, id);
    this.pending.set(new Map([...this.pending.get(), [method, id]]));
    this.#expectAnswer(id);
    try {
      this.#model.send({ kind: "request", id, method, params });
    } catch {
      this.#stopTimers();
      this.waiting.set("long"); // the kernel was restarted or has closed the widget: no answer will come
    }
    return id;
  }

  onEvent(handler: (event: KernelEvent) => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  dispose(): void {
    this.#stop();
    this.#stopTimers();
    this.#handlers.clear();
  }

  #receive(message: unknown): void {
    if (!isKernelEvent(message)) return;
    this.#answered(message.id);
    const [client, method = ""] = message.id.split(":");
    const ours = client === this.#client;
    if (ours && this.#latest.get(method) !== message.id) return;
    if (ours && isEnd(message)) {
      const others = [...this.pending.get()].filter(([, id]) => id !== message.id);
      this.pending.set(new Map(others));
    }
    for (const handler of [...this.#handlers]) handler(message);
  }

  #expectAnswer(id: string): void {
    this.#unanswered.add(id);
    if (this.#timers.length > 0) return;
    this.#timers = [
      setTimeout(() => this.waiting.set("short"), SHORT_MS),
      setTimeout(() => this.waiting.set("long"), LONG_MS),
    ];
  }

  /** Only an answer to a request ends its waiting; cells of a sweep that was already running do not. */
  #answered(id: string): void {
    if (!this.#unanswered.has(id)) return;
    // The kernel handles requests in order, so it has handled the older ones too.
    for (const other of this.#unanswered) {
      this.#unanswered.delete(other);
      if (other === id) break;
    }
    if (this.#unanswered.size > 0) return;
    this.#stopTimers();
    this.waiting.set("no");
  }

  #stopTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
  }
}

function isKernelEvent(message: unknown): message is KernelEvent {
  if (typeof message !== "object" || message === null) return false;
  const { kind, id, event } = message as Record<string, unknown>;
  return kind === "event" && typeof id === "string" && typeof event === "string";
}
