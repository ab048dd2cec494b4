import fieldCss from "../lib/field.css";
import gridCss from "../lib/grid.css";
import type { ViewModel } from "../lib/model";
import { mount } from "../lib/mount";
import { AttentionState } from "./state";
import css from "./style.css";
import { AttentionView } from "./view";

/** anywidget calls this once a model, so the state in it belongs to that model and is shared by its views. */
export default () => {
  let state: AttentionState | null = null;
  return {
    initialize({ model }: { model: ViewModel }) {
      state = new AttentionState(model);
      return () => state?.dispose();
    },
    render({ model, el }: { model: ViewModel; el: HTMLElement }) {
      state ??= new AttentionState(model);
      return mount(el, gridCss + fieldCss + css, <AttentionView model={model} state={state} />);
    },
  };
};
