// The workbench's bundle. anywidget hands it a host, through which it shows the views of other widgets inside its own.
import { joinGroup } from "../lib/link";
import type { ViewModel } from "../lib/model";
import { mount } from "../lib/mount";
import type { Panel } from "../lib/panel";
import { Rpc } from "../lib/rpc";
import { savedByAnother } from "../lib/schema";
import tabsCss from "../lib/tabs.css";
import css from "./style.css";
import { type Host, WorkbenchView } from "./view";

export class WorkbenchState {
  readonly rpc: Rpc;
  /** Of the last view that was drawn: all views of one page have the same. */
  host: Host | null = null;

  constructor(model: ViewModel) {
    this.rpc = new Rpc(model);
  }

  dispose(): void {
    this.rpc.dispose();
  }
}

/** Its pinned place is that of its views, whatever they have. */
const panel: Panel<WorkbenchState, object> = {
  name: "workbench",
  css: tabsCss + css,
  needs: ["info", "panels", "names", "split", "enlarged"],
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
