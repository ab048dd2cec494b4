import barsCss from "../../lib/bar_list.css";
import type { Panel } from "../../lib/panel";
import tabsCss from "../../lib/tabs.css";
import { nodeOfPlace, placeOfNode } from "./graph";
import { CircuitState } from "./state";
import css from "./style.css";
import { CircuitView } from "./view";

export const panel: Panel<CircuitState, string> = {
  name: "circuit-graph",
  css: tabsCss + barsCss + css,
  needs: [
    "info",
    "status",
    "result",
    "tab",
    "edges",
    "trail",
    "paths",
    "setting",
    "edits",
    "groups",
    "chosen",
  ],
  state: (model) => new CircuitState(model),
  View: CircuitView,
  cellOf(state, place) {
    const { value: graph } = state.graph.get();
    return graph && nodeOfPlace(graph, place);
  },
  placeOf: (_, node) => placeOfNode(node),
};
