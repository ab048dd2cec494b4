import { widget } from "../../lib/widget";
import { FigureState } from "./state";
import css from "./style.css";
import { FigureView } from "./view";

export default widget({
  name: "circuitsvis",
  css,
  state: (model) => new FigureState(model),
  view: (model, state) => <FigureView model={model} state={state} />,
});
