import gridCss from "../../lib/grid.css";
import type { Panel } from "../../lib/panel";
import { cellOf, placeOf } from "./places";
import { HeatmapState } from "./state";
import css from "./style.css";
import { PatchHeatmapView } from "./view";

export const panel: Panel<HeatmapState, number> = {
  name: "patch-heatmap",
  css: gridCss + css,
  needs: ["info", "status", "activation", "axes", "metric", "direction", "result"],
  state: (model) => new HeatmapState(model),
  View: PatchHeatmapView,
  cellOf({ shown }, place) {
    const { value: sweep } = shown.get();
    return sweep && cellOf(sweep, place);
  },
  placeOf({ shown }, cell) {
    const { value: sweep } = shown.get();
    return sweep && placeOf(sweep, cell);
  },
};
