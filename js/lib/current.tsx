// Whether what a view shows is what was asked for last, and what it says where that is not so.
import type { ComponentChildren } from "preact";
import { type Status, useTrait, type ViewModel } from "./model";
import type { RequestName, Rpc } from "./rpc";
import { useLasting } from "./status";
import { useStore } from "./store";

/** The call that would give what should be shown, with the id of the task that answers it. */
export interface Asked {
  id: string;
  method: string;
  params: Record<string, unknown>;
}

/** Whether the result of task `id` is the newest that was asked for: by a request of one of these `methods` that has
 *  not ended, or by the call in the trait `asked`. */
export function useCurrent(
  model: ViewModel,
  rpc: Rpc,
  id: string | undefined,
  methods: readonly RequestName[],
  asked = "asked",
): boolean {
  const pending = useStore(rpc.pending);
  const call = useTrait<Asked | null | undefined>(model, asked);
  const failed = useTrait<Status>(model, "status") === "error";
  const newest = [call?.id, ...methods.map((method) => pending.get(method))];
  return !failed && newest.every((other) => other === undefined || other === id);
}

/** As in the style sheet: an answer that comes sooner makes nothing flicker. */
export const DELAY_MS = 200;

interface OutputProps {
  name: string;
  current: boolean;
  /** What is shown, in words: "the last map, resid_pre of …". */
  words: string;
  children: ComponentChildren;
}

/** One output of a view. While it is not current, it is faded and a line names it. */
export function Output({ name, current, words, children }: OutputProps) {
  return (
    <>
      {useLasting(!current, DELAY_MS) && (
        <p class="hs-quiet" data-hs="faded">
          Faded: {words}.
        </p>
      )}
      <div class={current ? "" : "hs-stale"} data-hs={name} data-stale={!current}>
        {children}
      </div>
    </>
  );
}
