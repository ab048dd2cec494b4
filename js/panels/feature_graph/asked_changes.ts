// Asking for the effects of changes. A gesture may come before Python has taken the one before it; it builds on what
// was asked last and not on the traits, which would lose the earlier gesture.
import { listen, type ViewModel } from "../../lib/model";
import { isEnd, type KernelEvent, type Rpc } from "../../lib/rpc";
import type { Change } from "./change_list";

export interface Asked {
  changes: Change[];
  frozen: string;
  generate: number;
  temperature: number;
  seed: number;
}

const NAMES = ["changes", "frozen", "generate", "temperature", "seed"] as const;

export class AskedChanges {
  #model: ViewModel;
  #rpc: Rpc;
  /** The newest request, until its values are in the traits or it has ended. */
  #newest: { id: string; asked: Asked; accepted: boolean } | null = null;
  #stops: (() => void)[];

  constructor(model: ViewModel, rpc: Rpc) {
    this.#model = model;
    this.#rpc = rpc;
    this.#stops = [
      rpc.onEvent((event) => this.#onEvent(event)),
      ...NAMES.map((name) => listen(model, `change:${name}`, () => this.#onTrait())),
    ];
  }

  /** Requests the effects of what is said, with everything else as it is. */
  ask(said: (now: Asked) => Partial<Asked>): void {
    const now = this.#newest?.asked ?? this.#inTraits();
    const asked = { ...now, ...said(now) };
    this.#newest = { id: this.#rpc.request("intervene", asked), asked, accepted: false };
  }

  dispose(): void {
    for (const stop of this.#stops) stop();
  }

  #inTraits(): Asked {
    return Object.fromEntries(NAMES.map((name) => [name, this.#model.get(name)])) as unknown as Asked;
  }

  #onEvent(event: KernelEvent): void {
    if (event.id !== this.#newest?.id) return;
    if (isEnd(event)) this.#newest = null;
    else this.#newest.accepted = true;
  }

  /** Python accepts a request before it sets the traits: those that come earlier are of an older one. */
  #onTrait(): void {
    if (this.#newest?.accepted) this.#newest = null;
  }
}
