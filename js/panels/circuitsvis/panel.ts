import type { Panel } from "../../lib/panel";
import { FigureState } from "./state";
import css from "./style.css";
import { FigureView } from "./view";

/** This panel shows arrays of the user's own, so it doesn't know which places in a model their values belong to. */
export const panel: Panel<FigureState, never> = {
  name: "circuitsvis",
  css,
  needs: ["figure", "chosen"],
  state: (model) => new FigureState(model),
  View: FigureView,
  cellOf: () => null,
  placeOf: () => null,
};
