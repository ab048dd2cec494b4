// The state that all views of one figure share: the parts that have arrived, and the choices in the menus.
import { trait, type ViewModel, write } from "../../lib/model";
import { type KernelEvent, Rpc } from "../../lib/rpc";
import { Store } from "../../lib/store";
import type { SamplesFigure, TopsFigure } from "./figure";

/** The choices in the menus, under the names of token_values.py; a missing choice has its default. */
export interface Chosen {
  first?: number;
  second?: number;
  start?: number;
  count?: number;
  k?: number;
  filter?: string;
  scale?: string;
  column?: number;
  low?: number;
  high?: number;
}

/** How many parts are kept. */
const KEPT = 200;

export class FigureState {
  readonly rpc: Rpc;
  /** Parts by the key "first second"; a new map whenever a part has arrived. */
  readonly parts = new Store<ReadonlyMap<string, unknown>>(new Map());
  #model: ViewModel;
  #asked = "";

  constructor(model: ViewModel) {
    this.#model = model;
    this.rpc = new Rpc(model);
    this.rpc.onEvent((event) => this.#onEvent(event));
  }

  chosen(): Chosen {
    return trait<Chosen | undefined>(this.#model, "chosen") ?? {};
  }

  choose(change: { [Name in keyof Chosen]?: Chosen[Name] | undefined }): void {
    const chosen = Object.entries({ ...this.chosen(), ...change }).filter(([, value]) => value !== undefined);
    write(this.#model, "chosen", Object.fromEntries(chosen));
  }

  /** A part of the figure; null if it has been requested but has not arrived. */
  part<Part>(figure: SamplesFigure | TopsFigure, first: number, second: number): Part | null {
    if (figure.parts) return (figure.parts[first]?.[second] as Part | undefined) ?? null;
    return (this.parts.get().get(`${first} ${second}`) as Part | undefined) ?? null;
  }

  ask(first: number, second: number): void {
    const key = `${first} ${second}`;
    if (this.#asked === key || this.#model.readonly) return;
    this.#asked = key;
    this.rpc.request("figure_part", { first, second });
  }

  dispose(): void {
    this.rpc.dispose();
  }

  #onEvent(event: KernelEvent): void {
    if (event.event === "error") this.#asked = "";
    if (event.event !== "figure_part") return;
    const known = [...this.parts.get()].slice(1 - KEPT);
    this.parts.set(new Map([...known, [`${event.first} ${event.second}`, event.part]]));
    this.#asked = "";
  }
}
