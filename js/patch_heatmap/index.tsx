import gridCss from "../lib/grid.css";
import type { ViewModel } from "../lib/model";
import { mount } from "../lib/mount";
import { HeatmapState } from "./state";
import css from "./style.css";
import { PatchHeatmapView } from "./view";

/** anywidget calls this once a model, so the state in it belongs to that model and is shared by its views. */
export default () => {
  let state: HeatmapState | null = null;
  return {
    initialize({ model }: { model: ViewModel }) {
      state = new HeatmapState(model);
      return () => state?.dispose();
    },
    render({ model, el }: { model: ViewModel; el: HTMLElement }) {
      state ??= new HeatmapState(model);
      return mount(el, gridCss + css, <PatchHeatmapView model={model} state={state} />);
    },
  };
};
