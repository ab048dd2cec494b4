import fieldCss from "../../lib/field.css";
import gridCss from "../../lib/grid.css";
import type { Panel } from "../../lib/panel";
import tabsCss from "../../lib/tabs.css";
import { type Cell, cellOf, placeOf } from "./sides";
import { LensState } from "./state";
import css from "./style.css";
import { LogitLensView } from "./view";

/** The panel's cells are those of the lens; bars and heads of the attribution have places of their own. */
export const panel: Panel<LensState, Cell> = {
  name: "logit-lens-grid",
  css: gridCss + fieldCss + tabsCss + css,
  needs: ["info", "status", "stream", "lens", "tab", "result"],
  state: (model) => new LensState(model),
  View: LogitLensView,
  cellOf(state, place) {
    const { value: lens } = state.shown.get();
    const shown = state.shownSide();
    return lens && shown && cellOf(lens, shown, place);
  },
  placeOf(state, cell) {
    const { value: lens } = state.shown.get();
    const shown = state.shownSide();
    return lens && shown && placeOf(lens, shown, cell);
  },
};
