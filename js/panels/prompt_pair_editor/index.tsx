import fieldCss from "../../lib/field.css";
import { widget } from "../../lib/widget";
import { Draft } from "./draft";
import css from "./style.css";
import stripCss from "./token_strip.css";
import { PromptPairEditorView } from "./view";

export default widget({
  name: "prompt-pair-editor",
  css: fieldCss + css + stripCss,
  state: (model) => new Draft(model),
  view: (model, draft) => <PromptPairEditorView model={model} draft={draft} />,
});
