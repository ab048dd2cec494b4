// A file that the kernel sends in answer to a request.
import { useEffect, useRef } from "preact/hooks";
import type { KernelEvent, Rpc } from "./rpc";

/** Returns a function that says which request asks for a file. Other views of the model ask for files of their own. */
export function useFileAnswer(rpc: Rpc | null, save: (file: KernelEvent) => void): (id: string) => void {
  const asked = useRef("");
  useEffect(
    () =>
      rpc?.onEvent((event) => {
        if (event.event === "file" && event.id === asked.current) save(event);
      }),
    [rpc],
  );
  return (id) => {
    asked.current = id;
  };
}
