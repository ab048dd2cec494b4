import fieldCss from "../../lib/field.css";
import gridCss from "../../lib/grid.css";
import { widget } from "../../lib/widget";
import { LensState } from "./state";
import css from "./style.css";
import { LogitLensView } from "./view";

export default widget({
  name: "logit-lens-grid",
  css: gridCss + fieldCss + css,
  state: (model) => new LensState(model),
  view: (model, state) => <LogitLensView model={model} state={state} />,
});
