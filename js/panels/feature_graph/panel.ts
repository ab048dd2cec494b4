import barsCss from "../../lib/bar_list.css";
import fieldCss from "../../lib/field.css";
import type { Panel } from "../../lib/panel";
import cardCss from "./card.css";
import changesCss from "./changes.css";
import { nodeAt, placeOf } from "./graph";
import pictureCss from "./picture.css";
import { FeatureState } from "./state";
import css from "./style.css";
import { FeatureView } from "./view";

export const panel: Panel<FeatureState, string> = {
  name: "feature-graph",
  css: barsCss + fieldCss + css + pictureCss + cardCss + changesCss,
  needs: [
    "info",
    "status",
    "result",
    "node_share",
    "edge_share",
    "pinned",
    "subgraph",
    "supernodes",
    "names",
  ],
  state: (model) => new FeatureState(model),
  View: FeatureView,
  cellOf(state, place) {
    const { value: graph } = state.graph.get();
    return graph && nodeAt(graph, place);
  },
  placeOf(state, id) {
    const { value: graph } = state.graph.get();
    const node = graph?.byId.get(id);
    return node ? placeOf(node) : null;
  },
};
