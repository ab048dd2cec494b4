// What anywidget calls: once for a model, and once for each view of it.
import type { JSX } from "preact";
import type { ViewModel } from "./model";
import { mount } from "./mount";
import { savedByAnother } from "./schema";

interface Parts<State> {
  name: string;
  css: string;
  /** Traits without which the view can't be drawn. */
  needs: readonly string[];
  state(model: ViewModel): State;
  view(model: ViewModel, state: State): JSX.Element;
}

export interface Widget {
  initialize(context: { model: ViewModel }): () => void;
  render(context: { model: ViewModel; el: HTMLElement }): () => void;
}

/** The default export of a bundle. anywidget calls it once a model, so the state belongs to that model and its
 *  views share it. A model whose traits the view was not written for has no state, and each view says so. */
export function widget<State extends { dispose(): void }>(parts: Parts<State>): () => Widget {
  return () => {
    let state: State | null = null;
    return {
      initialize({ model }) {
        if (!savedByAnother(model, parts.needs)) state = parts.state(model);
        return () => state?.dispose();
      },
      render({ model, el }) {
        const refused = savedByAnother(model, parts.needs);
        if (refused) return mount(el, parts.name, parts.css, <Refused sentence={refused} />);
        state ??= parts.state(model);
        return mount(el, parts.name, parts.css, parts.view(model, state));
      },
    };
  };
}

function Refused({ sentence }: { sentence: string }) {
  return (
    <div class="hs-root" data-hs="refused" role="alert">
      {sentence}
    </div>
  );
}
