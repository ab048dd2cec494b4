// The workbench's bundle. anywidget hands it a host, through which it shows the views of other widgets inside its own.
import { joinGroup } from "../lib/link";
import type { ViewModel } from "../lib/model";
import { mount } from "../lib/mount";
import type { Panel } from "../lib/panel";
import { savedByAnother } from "../lib/schema";
import tabsCss from "../lib/tabs.css";
import { type Host, WorkbenchState } from "./state";
import css from "./style.css";
import { WorkbenchView } from "./view";

/** Its pinned place is that of its views, whatever they have. */
const panel: Panel<WorkbenchState, object> = {
  name: "workbench",
  css: tabsCss + css,
  needs: ["info", "panels", "names", "split", "enlarged", "steps", "at"],
  state: (model) => new WorkbenchState(model),
  View: WorkbenchView,
  cellOf: (_, place) => place,
  placeOf: (_, place) => place,
};

export default () => {
  let state: WorkbenchState | null = null;
  let leave = () => {};
  return {
    initialize({ model }: { model: ViewModel }) {
      state = panel.state(model);
      leave = joinGroup(panel, model, state);
      return () => {
        leave();
        state?.dispose();
      };
    },
    render({ model, el, host }: { model: ViewModel; el: HTMLElement; host?: Host }) {
      const refused = savedByAnother(model, panel.needs);
      state ??= panel.state(model);
      state.host = host ?? null;
      if (refused) el.textContent = refused;
      return refused ? () => {} : mount(el, panel, model, state);
    },
  };
};
