import { widget } from "../../lib/widget";
import { panel } from "./panel";

export default widget(panel);
