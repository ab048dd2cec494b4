// What anywidget calls: once for a model, and once for each view of it.
import type { ViewModel } from "./model";
import { mount } from "./mount";
import type { Panel } from "./panel";

export interface Widget {
  initialize(context: { model: ViewModel }): () => void;
  render(context: { model: ViewModel; el: HTMLElement }): () => void;
}

/** The default export of a bundle. anywidget calls it once for each model, so the state belongs to that model and its
 *  views share it. */
export function widget<State extends { dispose(): void }, Cell>(panel: Panel<State, Cell>): () => Widget {
  return () => {
    let state: State | null = null;
    return {
      initialize({ model }) {
        state = panel.state(model);
        return () => state?.dispose();
      },
      render({ model, el }) {
        state ??= panel.state(model);
        return mount(el, panel, model, state);
      },
    };
  };
}
