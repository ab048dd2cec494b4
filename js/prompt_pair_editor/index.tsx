import fieldCss from "../lib/field.css";
import type { ViewModel } from "../lib/model";
import { mount } from "../lib/mount";
import { Draft } from "./draft";
import css from "./style.css";
import stripCss from "./token_strip.css";
import { PromptPairEditorView } from "./view";

/** anywidget calls this once a model, so the draft in it belongs to that model and is shared by its views. */
export default () => {
  let draft: Draft | null = null;
  return {
    initialize({ model }: { model: ViewModel }) {
      draft = new Draft(model);
      return () => draft?.dispose();
    },
    render({ model, el }: { model: ViewModel; el: HTMLElement }) {
      draft ??= new Draft(model);
      return mount(el, css + fieldCss + stripCss, <PromptPairEditorView model={model} draft={draft} />);
    },
  };
};
