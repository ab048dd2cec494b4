import gridCss from "../../lib/grid.css";
import { widget } from "../../lib/widget";
import { HeatmapState } from "./state";
import css from "./style.css";
import { PatchHeatmapView } from "./view";

export default widget({
  name: "patch-heatmap",
  css: gridCss + css,
  state: (model) => new HeatmapState(model),
  view: (model, state) => <PatchHeatmapView model={model} state={state} />,
});
