// Draws parts of a view in tasks of their own, so that the page answers in between.
import { options } from "preact";

const waiting: (() => void)[] = [];
const { port1, port2 } = new MessageChannel();
port2.onmessage = () => waiting.shift()?.();

/** Calls a function in a task of its own, after those that wait already. */
export function inATask(draw: () => void): void {
  waiting.push(draw);
  port1.postMessage(null);
}

/** A function that makes the same change, and lets Preact draw it in the next task, after the one that decodes a result.
 *  A change in between, by a key or by the pointer, draws both at once, so that no gesture is answered by an older
 *  view. */
export function drawnLater(change: () => void): () => void {
  return () => {
    const usual = options.debounceRendering;
    options.debounceRendering = inATask;
    try {
      change();
    } finally {
      options.debounceRendering = usual;
    }
  };
}
