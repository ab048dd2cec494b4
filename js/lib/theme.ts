// The light or dark theme, and the colours for canvases, read from the host's computed styles.
import { createContext } from "preact";
import { useContext, useLayoutEffect, useState } from "preact/hooks";
import { luminance, overlay, parseColor, type Rgb } from "./color";

/** The palette until the root is in a page, and for browsers that resolve no colours. */
const COLORS = {
  bg: [255, 255, 255] as Rgb,
  fg: [29, 35, 41] as Rgb,
  muted: [102, 107, 112] as Rgb,
  faint: [151, 154, 157] as Rgb,
  soft: [245, 245, 245] as Rgb,
  clean: [22, 103, 183] as Rgb,
  corrupt: [181, 84, 14] as Rgb,
  zero: [244, 244, 244] as Rgb,
};
type Colors = typeof COLORS;

export interface Palette extends Colors {
  theme: "light" | "dark";
  ui: string;
  mono: string;
}

const UNRESOLVED: Palette = { theme: "light", ...COLORS, ui: "sans-serif", mono: "monospace" };

const PaletteContext = createContext<Palette>(UNRESOLVED);
export const PaletteProvider = PaletteContext.Provider;
export const usePalette = (): Palette => useContext(PaletteContext);

/** Keeps the root's `data-hs-theme` and palette up to date when the host changes its theme. */
export function useRootPalette(root: { current: HTMLElement | null }): Palette {
  const [palette, setPalette] = useState(UNRESOLVED);
  useLayoutEffect(() => {
    const element = root.current;
    if (!element) return;
    let known = "";
    return watchTheme(element, () => {
      const next = readPalette(element);
      const key = JSON.stringify(next);
      if (key !== known) setPalette(next);
      known = key;
    });
  }, [root]);
  return palette;
}

/** Calls `changed` now and whenever the host's theme may have changed; returns a function that stops this. */
export function watchTheme(root: HTMLElement, changed: () => void): () => void {
  const update = () => {
    applyTheme(root);
    changed();
  };
  update();
  const observer = observeTheme(document, update);
  // A host may attach a view to its page only after it is drawn, and its theme is unknown until then.
  new ResizeObserver((_, placed) => {
    placed.disconnect();
    update();
  }).observe(root);
  const dark = darkPreferred();
  dark.addEventListener("change", update);
  return () => {
    observer.disconnect();
    dark.removeEventListener("change", update);
  };
}

/** Calls `changed` when the page's theme changes. */
export function observeTheme(page: Document, changed: () => void): MutationObserver {
  const observer = new MutationObserver(changed);
  const attributeFilter = ["class", "style", "data-jp-theme-name", "data-theme"];
  for (const element of [page.documentElement, page.body]) observer.observe(element, { attributeFilter });
  return observer;
}

function applyTheme(root: HTMLElement): void {
  const style = getComputedStyle(root);
  const themed = ["--vscode-editor-background", "--jp-layout-color0"].some((name) =>
    style.getPropertyValue(name),
  );
  const behind = themed ? null : groundBehind(root);
  if (behind) root.style.setProperty("--hs-host-bg", behind);
  else root.style.removeProperty("--hs-host-bg");
  const ground = themed || behind ? parseColor(getComputedStyle(root).backgroundColor) : null;
  const dark = ground ? luminance([ground[0], ground[1], ground[2]]) < 0.18 : pageIsDark();
  root.dataset.hsTheme = dark ? "dark" : "light";
}

/** The first opaque background behind an element, across shadow roots. */
export function groundBehind(element: HTMLElement): string | null {
  const view = element.ownerDocument.defaultView ?? window;
  for (let node = parentOf(element); node; node = parentOf(node)) {
    const { backgroundColor } = view.getComputedStyle(node);
    if ((parseColor(backgroundColor)?.[3] ?? 0) > 0.9) return backgroundColor;
  }
  return null;
}

function parentOf(node: Element): Element | null {
  if (node.parentElement) return node.parentElement;
  const root = node.getRootNode();
  return root instanceof ShadowRoot ? root.host : null;
}

const darkPreferred = () => matchMedia("(prefers-color-scheme: dark)");

export function pageIsDark(page = document): boolean {
  const schemes = (page.defaultView ?? window).getComputedStyle(page.documentElement).colorScheme ?? "";
  return schemes.includes("dark") && (!schemes.includes("light") || darkPreferred().matches);
}

function readPalette(root: HTMLElement): Palette {
  const probe = document.createElement("i");
  probe.className = "hs-probe";
  root.append(probe);
  const color = (name: keyof Colors, ground: Rgb): Rgb => {
    probe.style.color = `var(--hs-${name})`;
    const parsed = parseColor(getComputedStyle(probe).color);
    return parsed ? overlay(parsed, ground) : COLORS[name];
  };
  const font = (name: string, fallback: string): string => {
    probe.style.fontFamily = `var(${name})`;
    return getComputedStyle(probe).fontFamily || fallback;
  };
  const bg = color("bg", COLORS.bg);
  const names = Object.keys(COLORS) as (keyof Colors)[];
  const palette: Palette = {
    theme: root.dataset.hsTheme === "dark" ? "dark" : "light",
    ...(Object.fromEntries(names.map((name) => [name, color(name, bg)])) as Colors),
    bg,
    ui: font("--hs-ui", UNRESOLVED.ui),
    mono: font("--hs-mono", UNRESOLVED.mono),
  };
  probe.remove();
  return palette;
}
