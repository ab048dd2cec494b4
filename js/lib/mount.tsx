// Mounts a view and its styles in the host's element, so that shadow roots work too.
import { type ComponentChildren, render } from "preact";
import { useErrorBoundary, useRef } from "preact/hooks";
import type { ViewModel } from "./model";
import type { Panel } from "./panel";
import { askForPicture, hidePicture } from "./stored_picture";
import { PaletteProvider, useRootPalette } from "./theme";
import themeCss from "./theme.css";
import { randomId } from "./unique_id";
import { Room, useWidth } from "./use_width";

/** Returns a function that unmounts the view and leaves `el` as it was. A style sheet applies to the whole page, so each
 *  sheet is limited to the hosts of its own panel by a `:where`, which adds no specificity. */
export function mount<State>(
  el: HTMLElement,
  { name, css, View }: Pick<Panel<State, never>, "name" | "css" | "View">,
  model: ViewModel,
  state: State,
): () => void {
  const style = document.createElement("style");
  style.textContent = `:where(.hs-host-${name}){${themeCss}${css}}${hidePicture(model)}`;
  const host = document.createElement("div");
  host.className = `hs-host-${name}`;
  el.append(style, host);
  const leave = announce(model);
  const stop = askForPicture(model);
  render(
    <Boundary>
      <View model={model} state={state} />
    </Boundary>,
    host,
  );
  return () => {
    render(null, host);
    leave();
    stop();
    host.remove();
    style.remove();
  };
}

/** If a view throws, shows the error in its place, with a button that draws the view again. */
function Boundary({ children }: { children: ComponentChildren }) {
  const [error, reset] = useErrorBoundary();
  if (error === undefined) return <>{children}</>;
  return (
    <div class="hs-root" data-hs="failed" role="alert">
      This view can't be drawn: {error instanceof Error ? error.message : String(error)}.{" "}
      <button type="button" title="Try once more" onClick={reset}>
        Draw it again
      </button>
    </div>
  );
}

interface RootProps {
  name: string;
  label: string;
  onKeyDown?: (event: KeyboardEvent) => void;
  children: ComponentChildren;
}

/** Gives the focused element the attribute that keeps JupyterLab's command mode from taking its keys. On an ancestor
 *  alone it would come too late for JupyterLab's `:focus:not(:read-write)`. */
export function Root({ name, label, onKeyDown, children }: RootProps) {
  const ref = useRef<HTMLDivElement>(null);
  const palette = useRootPalette(ref);
  const width = useWidth(ref);
  return (
    <div
      ref={ref}
      class="hs-root"
      role="group"
      aria-label={label}
      data-hs={name}
      onFocusIn={({ target }) => (target as Element).setAttribute("data-lm-suppress-shortcuts", "true")}
      onKeyDown={onKeyDown}
    >
      <PaletteProvider value={palette}>
        <Room.Provider value={width}>{children}</Room.Provider>
      </PaletteProvider>
    </div>
  );
}

/** Reports that a view is shown, and returns a function that reports that it is gone. Nothing waits for an answer. */
function announce(model: ViewModel): () => void {
  if (model.readonly) return () => {};
  const view = randomId();
  const tell = (method: "shown" | "hidden") => {
    try {
      model.send({ kind: "request", id: `${view}-${method}`, method, params: { view } });
    } catch {
      // The kernel was restarted or has closed the widget: it computes nothing for this view anyway.
    }
  };
  tell("shown");
  return () => tell("hidden");
}
