import fieldCss from "../../lib/field.css";
import gridCss from "../../lib/grid.css";
import { widget } from "../../lib/widget";
import { AttentionState } from "./state";
import css from "./style.css";
import { AttentionView } from "./view";

export default widget({
  name: "attention-viewer",
  css: gridCss + fieldCss + css,
  state: (model) => new AttentionState(model),
  view: (model, state) => <AttentionView model={model} state={state} />,
});
