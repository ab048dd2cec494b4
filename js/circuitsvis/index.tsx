import type { ViewModel } from "../lib/model";
import { mount } from "../lib/mount";
import { FigureState } from "./state";
import css from "./style.css";
import { FigureView } from "./view";

/** anywidget calls this once a model, so the state in it belongs to that model and is shared by its views. */
export default () => {
  let state: FigureState | null = null;
  return {
    initialize({ model }: { model: ViewModel }) {
      state = new FigureState(model);
      return () => state?.dispose();
    },
    render({ model, el }: { model: ViewModel; el: HTMLElement }) {
      state ??= new FigureState(model);
      return mount(el, css, <FigureView model={model} state={state} />);
    },
  };
};
