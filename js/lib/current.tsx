// Whether a view shows the result that was requested last, and the line that it shows if not.
import type { ComponentChildren } from "preact";
import { type Status, useTrait, type ViewModel } from "./model";
import type { RequestName, Rpc } from "./rpc";
import { useLasting } from "./status";
import { useStore } from "./store";

/** The call whose result should be shown, and the id of the task that answers it. */
export interface Asked {
  id: string;
  method: string;
  params: Record<string, unknown>;
}

/** Whether the result of task `id` answers the newest request: an unfinished request for one of these `methods`, or
 *  else the call in the trait `asked`. */
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

/** As in the style sheet: an answer that comes sooner causes no flicker. */
export const DELAY_MS = 200;

interface OutputProps {
  name: string;
  current: boolean;
  /** Describes what is shown: "the last map, resid_pre of …". */
  words: string;
  children: ComponentChildren;
}

/** One output of a view. While it is out of date, it is faded and a line says what it is. */
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
