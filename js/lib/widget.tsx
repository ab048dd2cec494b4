// The functions that anywidget calls: once for a model, and once for each view of it.
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
    return {
      initialize({ model }) {
        if (!savedByAnother(model, panel.needs)) state = panel.state(model);
        return () => state?.dispose();
      },
      render({ model, el }) {
        const refused = savedByAnother(model, panel.needs);
        if (refused) {
          const View = () => <Refused sentence={refused} />;
          return mount(el, { name: panel.name, css: panel.css, View }, model, null);
        }
        state ??= panel.state(model);
        return mount(el, panel, model, state);
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
