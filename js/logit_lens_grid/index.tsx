import fieldCss from "../lib/field.css";
import gridCss from "../lib/grid.css";
import type { ViewModel } from "../lib/model";
import { mount } from "../lib/mount";
import { LensState } from "./state";
import css from "./style.css";
import { LogitLensView } from "./view";

/** anywidget calls this once a model, so the state in it belongs to that model and is shared by its views. */
export default () => {
  let state: LensState | null = null;
  return {
    initialize({ model }: { model: ViewModel }) {
      state = new LensState(model);
      return () => state?.dispose();
    },
    render({ model, el }: { model: ViewModel; el: HTMLElement }) {
      state ??= new LensState(model);
      return mount(el, gridCss + fieldCss + css, <LogitLensView model={model} state={state} />);
    },
  };
};
