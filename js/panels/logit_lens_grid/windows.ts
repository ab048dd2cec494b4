// Loads the columns of a prompt that is too long to be sent whole: they are requested one window at a time when they come
// into view, and kept.
import type { KernelEvent, Rpc } from "../../lib/rpc";
import { applyWindow, type Lens, type Side, type WindowJson } from "./result";
import type { Shown } from "./sides";

export class Windows {
  #rpc: Rpc;
  #arrived: () => void;
  /** The unfinished request. */
  #request = "";
  /** The window that Python refused; it is not requested again until another window has arrived. */
  #refused = "";

  constructor(rpc: Rpc, arrived: () => void) {
    this.#rpc = rpc;
    this.#arrived = arrived;
  }

  /** Called for every frame: requests the missing positions in [first, last), and as many again on either side. */
  need(lens: Lens, shown: Shown, first: number, last: number): void {
    if (this.#request !== "") return;
    const { partners, second } = shown;
    if (this.#ask(lens, shown.first, first, last) || !second) return;
    let [from, to] = [second.positions, 0];
    for (let position = first; position < last; position++) {
      const partner = partners?.[position] ?? null;
      if (partner === null) continue;
      from = Math.min(from, partner);
      to = Math.max(to, partner + 1);
    }
    if (from < to) this.#ask(lens, second, from, to);
  }

  take(lens: Lens, event: KernelEvent): void {
    if (event.id !== this.#request) return;
    applyWindow(lens, event as unknown as WindowJson);
    this.#arrived();
  }

  over(event: KernelEvent): void {
    if (event.id !== this.#request) return;
    this.#request = "";
    if (event.event === "result") this.#refused = "";
    this.#arrived();
  }

  reset(): void {
    this.#request = "";
    this.#refused = "";
  }

  #ask(lens: Lens, side: Side, first: number, last: number): boolean {
    const { loaded, positions, name } = side;
    let missing = -1;
    for (let i = first; i < last && missing < 0; i++) if (!loaded[i]) missing = i;
    if (missing < 0) return false;
    const span = last - first;
    let [start, stop] = [Math.max(0, first - span), Math.min(positions, last + span)];
    while (loaded[start]) start++;
    while (loaded[stop - 1]) stop--;
    const window = `${name} ${start} ${stop}`;
    if (window === this.#refused) return false;
    this.#refused = window;
    this.#request = this.#rpc.request("lens_window", { result: lens.json.id, side: name, start, stop });
    return true;
  }
}
