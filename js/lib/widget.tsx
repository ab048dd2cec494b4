// The functions that anywidget calls: once for a model, and once for each view of it.
import { joinGroup } from "./link";
import type { ViewModel } from "./model";
import { mount } from "./mount";
import type { Panel } from "./panel";
import { savedByAnother } from "./schema";

export interface Widget {
  initialize(context: { model: ViewModel }): () => void;
  render(context: { model: ViewModel; el: HTMLElement }): () => void;
}

/** The default export of a bundle. anywidget calls it once for each model, so the state belongs to that model and its
 *  views share it. If the traits were saved by another version, there is no state, and each view says so. */
export function widget<State extends { dispose(): void }, Cell>(panel: Panel<State, Cell>): () => Widget {
  return () => {
    let state: State | null = null;
    let leave = () => {};
    const stateOf = (model: ViewModel): State => {
      if (state) return state;
      state = panel.state(model);
      leave = joinGroup(panel, model, state);
      return state;
    };
    return {
      initialize({ model }) {
        if (!savedByAnother(model, panel.needs)) stateOf(model);
        return () => {
          leave();
          state?.dispose();
        };
      },
      render({ model, el }) {
        const refused = savedByAnother(model, panel.needs);
        if (refused) {
          const View = () => <Refused sentence={refused} />;
          return mount(el, { name: panel.name, css: panel.css, View }, model, null);
        }
        return mount(el, panel, model, stateOf(model));
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
