import fieldCss from "../../lib/field.css";
import gridCss from "../../lib/grid.css";
import type { Panel } from "../../lib/panel";
import { type Cell, cellOf, NOWHERE, placeOf, sameCell } from "./pointed";
import { AttentionState } from "./state";
import css from "./style.css";
import { AttentionView } from "./view";

export const panel: Panel<AttentionState, Cell> = {
  name: "attention-viewer",
  css: gridCss + fieldCss + css,
  needs: ["info", "opened", "result", "thumbs", "scores"],
  state: (model) => new AttentionState(model),
  View: AttentionView,
  cellOf(state, place) {
    const { value: attention } = state.shown.get();
    const cell = attention ? cellOf(attention, state.side(attention), place) : NOWHERE;
    return sameCell(cell, NOWHERE) ? null : cell;
  },
  placeOf(state, cell) {
    const { value: attention } = state.shown.get();
    return attention && placeOf(attention, state.side(attention), cell);
  },
};
