import fieldCss from "../../lib/field.css";
import type { Panel } from "../../lib/panel";
import { cellOf, placeOf } from "./alignment";
import { Draft } from "./draft";
import css from "./style.css";
import stripCss from "./token_strip.css";
import { PromptPairEditorView } from "./view";

/** The panel's cells are the positions of the clean prompt. */
export const panel: Panel<Draft, number> = {
  name: "prompt-pair-editor",
  css: fieldCss + css + stripCss,
  needs: ["info", "status", "pair", "tokens"],
  state: (model) => new Draft(model),
  View: PromptPairEditorView,
  cellOf: (draft, place) => cellOf(draft.tokens(), draft.columns(), place),
  placeOf: (_, position) => placeOf(position),
};
