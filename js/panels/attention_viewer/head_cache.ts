// Caches the values of opened heads when a result is too large to be sent whole. Each head is requested once.
import { type ArrayJson, decodeFloats } from "../../lib/ndarray";
import type { KernelEvent, Rpc } from "../../lib/rpc";
import { Store } from "../../lib/store";
import { type Attention, type Head, keyOf, type SideName } from "./result";

interface HeadsJson {
  result: string;
  side: SideName;
  heads: Head[];
  values: ArrayJson;
}

/** The largest number of heads in one request. */
const AT_ONCE = 12;

export class HeadCache {
  /** A new object whenever heads have arrived. */
  readonly revision = new Store<object>({});
  #rpc: Rpc;
  #values = new Map<string, Float32Array>();
  /** All heads that were requested, including those that could not be sent, since another request would not help. */
  #asked = new Set<string>();
  #request = "";

  constructor(rpc: Rpc) {
    this.#rpc = rpc;
  }

  get(attention: Attention, side: SideName, index: number): Float32Array | null {
    return attention.matrixOf(side, index) ?? this.#values.get(keyOf(side, attention.headAt(index))) ?? null;
  }

  /** Requests the missing heads. A newer request replaces an unanswered older one, so it repeats the older one's
   *  heads. */
  need(attention: Attention, side: SideName, heads: readonly number[]): void {
    if (attention.json.whole) return;
    const missing = heads.filter((index) => !this.get(attention, side, index)).slice(0, AT_ONCE);
    const keys = missing.map((index) => keyOf(side, attention.headAt(index)));
    if (keys.every((key) => this.#asked.has(key))) return;
    for (const key of keys) this.#asked.add(key);
    const named = missing.map((index) => attention.headAt(index));
    this.#request = this.#rpc.request("heads", { result: attention.json.id, side, heads: named });
  }

  take(attention: Attention, event: KernelEvent): void {
    const { result, side, heads, values } = event as unknown as HeadsJson;
    if (result !== attention.json.id) return;
    const all = decodeFloats(values);
    const cells = all.length / Math.max(1, heads.length);
    for (const [i, head] of heads.entries()) {
      this.#values.set(keyOf(side, head), all.subarray(i * cells, (i + 1) * cells));
    }
    this.revision.set({});
  }

  /** The heads of a cancelled request may be requested again. */
  over({ id, event }: KernelEvent): void {
    if (id !== this.#request || event !== "cancelled") return;
    this.#asked.clear();
    this.revision.set({});
  }

  clear(): void {
    this.#values.clear();
    this.#asked.clear();
    this.revision.set({});
  }
}
