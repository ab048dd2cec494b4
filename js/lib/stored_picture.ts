// The picture that a notebook stores in an output below the view, for readers without a kernel.
import { listen, type Status, trait, type ViewModel } from "./model";
import { randomId } from "./unique_id";

const QUIET_MS = 2000;

/** The class of the picture; undefined for a widget that has none. */
const pictureOf = (model: ViewModel) => trait<string | undefined>(model, "_picture");

/** A rule for the page: where the view is, its picture is not, nor the room that JupyterLab gives to its output. */
export function hidePicture(model: ViewModel): string {
  const name = pictureOf(model);
  if (!name) return "";
  const picture = `.${CSS.escape(name)}`;
  return `${picture}, .jp-OutputArea-child:has(${picture}) { display: none; }`;
}

/** Asks Python for a picture once the result is complete and nothing has changed for a while. Returns a function that
 *  ends this. */
export function askForPicture(model: ViewModel): () => void {
  if (model.readonly || !pictureOf(model)) return () => {};
  let timer: ReturnType<typeof setTimeout>;
  const ask = () => {
    try {
      model.send({ kind: "request", id: `${randomId()}-picture`, method: "picture", params: {} });
    } catch {
      // The kernel is gone, and the notebook keeps what it has.
    }
  };
  const wait = () => {
    clearTimeout(timer);
    if (trait<Status>(model, "status") === "done") timer = setTimeout(ask, QUIET_MS);
  };
  const stop = listen(model, "change", wait);
  wait();
  return () => {
    clearTimeout(timer);
    stop();
  };
}
