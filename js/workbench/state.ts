// The state that all views of one workbench share.
import type { ViewModel } from "../lib/model";
import { Rpc } from "../lib/rpc";

/** What anywidget gives to a view that shows others. */
export interface Host {
  getWidget(
    ref: string,
  ): Promise<{ render(context: { el: HTMLElement; signal: AbortSignal }): Promise<void> }>;
}

export class WorkbenchState {
  readonly rpc: Rpc;
  /** Of the last view that was drawn: all views of one page have the same. */
  host: Host | null = null;
  #columns = new Map<string, number>();

  constructor(model: ViewModel) {
    this.rpc = new Rpc(model);
  }

  /** The column of each view. A view keeps it while others come and go, and a new one takes the emptier column. */
  columnsOf(refs: readonly string[]): number[] {
    for (const ref of this.#columns.keys()) if (!refs.includes(ref)) this.#columns.delete(ref);
    return refs.map((ref) => {
      const taken = [...this.#columns.values()];
      const second = taken.filter((column) => column === 1).length;
      const column = this.#columns.get(ref) ?? (second < taken.length - second ? 1 : 0);
      this.#columns.set(ref, column);
      return column;
    });
  }

  dispose(): void {
    this.rpc.dispose();
  }
}
