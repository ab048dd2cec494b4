// A notebook webview of VS Code without VS Code: its own widget manager, and a kernel that it shows widgets of.
import { KernelManager, ServerConnection } from "@jupyterlab/services";

let kernel;
let manager;
const shownHtml = new Map(); // by display id

/** Starts a kernel, and the widget manager on it. */
export async function start(baseUrl, token) {
  const serverSettings = ServerConnection.makeSettings({
    baseUrl,
    wsUrl: baseUrl.replace(/^http/, "ws"),
    token,
    appendToken: true,
  });
  const kernels = new KernelManager({ serverSettings });
  kernel = await kernels.startNew({ name: "python3" });
  kernel.commsOverSubshells = "disabled"; // as VS Code has it
  kernel.iopubMessage.connect((_, { header, content }) => {
    const html = content.data?.["text/html"];
    if (header.msg_type === "update_display_data" && html)
      shownHtml.get(content.transient.display_id).innerHTML = html;
  });
  const { activate } = await import("/ipywidgets.js");
  activate();
  window.vscIPyWidgets8.load();
  const scripts = {
    widgetsRegisteredInRequireJs: new Set(),
    loadWidgetScript,
    successHandler() {},
    errorHandler: (...what) => console.error("A widget's class did not load.", ...what.map(String)),
  };
  manager = new window.vscIPyWidgets.WidgetManager(kernel, document.body, scripts, () => {});
}

/** What VS Code does for a widget's package: find the script that its notebook extension names. */
async function loadWidgetScript(name) {
  const source = await (await fetch(`/nbextensions/${name}/extension.js`)).text();
  const path = source.match(new RegExp(`${name}["']?:\\s*["']([^"']+)["']`))[1];
  window.requirejs.config({ paths: { [name]: `/${path}` } });
  this.widgetsRegisteredInRequireJs.add(name);
}

/** Runs code; returns what it printed, and shows the widgets that it displays in `output`. */
export async function execute(code, seconds, output) {
  const future = kernel.requestExecute({ code });
  let printed = "";
  let failed = "";
  const shown = [];
  future.onIOPub = ({ header, content }) => {
    if (header.msg_type === "stream") printed += content.text;
    if (header.msg_type === "error") failed = content.traceback.join("\n");
    const view = content.data?.["application/vnd.jupyter.widget-view+json"];
    if (view && output) shown.push(display(view.model_id, output));
    else if (content.data?.["text/html"] && output) displayHtml(content, output);
  };
  const tooLong = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`The kernel was still busy after ${seconds} s with ${code}`)), 1000 * seconds);
  });
  await Promise.race([future.done, tooLong]);
  await Promise.all(shown);
  if (failed) throw new Error(failed);
  return printed.trim();
}

/** Begins to run code; resolves once it has printed something. */
export function begin(code) {
  const future = kernel.requestExecute({ code });
  return new Promise((resolve) => {
    future.onIOPub = ({ header }) => header.msg_type === "stream" && resolve();
  });
}

async function display(id, output) {
  const model = await manager.get_model(id);
  const view = await manager.create_view(model, { el: output });
  manager.display_view(undefined, view, { node: output });
}

/** HTML has an output of its own below the view, in the same page. */
function displayHtml({ data, transient }, output) {
  const html = document.createElement("div");
  html.innerHTML = data["text/html"];
  output.after(html);
  if (transient?.display_id) shownHtml.set(transient.display_id, html);
}
