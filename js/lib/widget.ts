// What anywidget calls: once for a model, and once for each view of it.
import type { JSX } from "preact";
import type { ViewModel } from "./model";
import { mount } from "./mount";

interface Parts<State> {
  name: string;
  css: string;
  state(model: ViewModel): State;
  view(model: ViewModel, state: State): JSX.Element;
}

export interface Widget {
  initialize(context: { model: ViewModel }): () => void;
  render(context: { model: ViewModel; el: HTMLElement }): () => void;
}

/** The default export of a bundle. anywidget calls it once a model, so the state belongs to that model and its
 *  views share it. */
export function widget<State extends { dispose(): void }>(parts: Parts<State>): () => Widget {
  return () => {
    let state: State | null = null;
    return {
      initialize({ model }) {
        state = parts.state(model);
        return () => state?.dispose();
      },
      render({ model, el }) {
        state ??= parts.state(model);
        return mount(el, parts.name, parts.css, parts.view(model, state));
      },
    };
  };
}
