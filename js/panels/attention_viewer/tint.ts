// The backgrounds and underlines of the text's tokens. Styles are set directly, and only for visible tokens, because
// rendering hundreds of tokens again would take longer than a frame.
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { useWidth } from "../../lib/use_width";
import { useDrawing } from "./pointed";
import { codeAt, STEPS } from "./scale";
import type { Scene } from "./scene";

const NONE = -1;
/** Codes are rounded to steps too small to be seen in a text, so that most tokens keep their style. */
const LEVEL = 5;

/** Returns a function that draws again, for when other tokens have scrolled into view. */
export function useTint(
  list: { current: HTMLElement | null },
  scene: Scene,
  values: Float32Array | null,
): () => void {
  const { tokens, scaling, colors, pointed, locked } = scene;
  const n = tokens.length;
  const zero = codeAt(0, scaling.signed);
  const width = useWidth(list);
  const factors = useMemo(() => (values ? scaling.rowFactors(values, n) : null), [values, scaling, n]);
  /** The current codes of each token: as a source, and as a destination. */
  const drawn = useRef(new Int16Array(0));
  const marked = useRef<Element | null>(null);
  /** The visible tokens. They are determined only when they may have changed, since that forces a layout of the page. */
  const seen = useRef<readonly [number, number] | null>(null);
  const of = useRef<{ tokens: unknown; colors: unknown } | null>(null);
  /** With other colours or another prompt, every token is drawn anew. */
  const begin = () => {
    if (of.current?.tokens === tokens && of.current.colors === colors) return;
    of.current = { tokens, colors };
    drawn.current = new Int16Array(2 * n).fill(NONE);
    for (const token of list.current?.children ?? []) token.removeAttribute("style");
  };
  const draw = () => {
    const root = list.current;
    if (!root) return;
    begin(); // between a render and its effects, the pointer may have caused drawing in the old colours
    const here = pointed.text.get().position ?? locked.position;
    const code = (row: number, column: number) => {
      if (!values || here === null || (scaling.withoutFirst && column === 0)) return NONE;
      const found = scaling.codeOfValue(values[row * n + column] ?? Number.NaN, factors?.[row] ?? 1);
      const level = LEVEL * Math.round(found / LEVEL);
      return found <= STEPS && level !== zero ? level : NONE;
    };
    const inkOf = (level: number) => (level < 0 ? "" : colors.ink(level));
    if (here === null) seen.current = null;
    seen.current ??= seenTokens(root);
    const [first, last] = seen.current;
    for (let i = first; i < last; i++) {
      const ground = code(here ?? 0, i);
      const line = code(i, here ?? 0);
      const style = (root.children[i] as HTMLElement).style;
      const before = drawn.current[2 * i] ?? NONE;
      if (before !== ground) {
        style.backgroundColor = ground < 0 ? "" : colors.fill(ground);
        // A new text colour restyles everything inside the token, so it is set only if it changes.
        if (inkOf(before) !== inkOf(ground)) {
          style.color = inkOf(ground);
          style.setProperty("--hs-ink", inkOf(ground));
        }
      }
      if (drawn.current[2 * i + 1] !== line) style.borderBottomColor = line < 0 ? "" : colors.fill(line);
      drawn.current[2 * i] = ground;
      drawn.current[2 * i + 1] = line;
    }
    const at = here === null ? null : (root.children[here] ?? null);
    if (at === marked.current) return;
    marked.current?.removeAttribute("data-here");
    at?.setAttribute("data-here", "true");
    marked.current = at;
  };
  const redraw = () => {
    seen.current = null;
    draw();
  };
  useLayoutEffect(begin, [tokens, colors]);
  useLayoutEffect(() => {
    seen.current = null;
  }, [tokens, width]);
  useDrawing(pointed.text, draw, [values, factors, scaling, colors, locked, tokens, width]);
  return redraw;
}

/** The tokens on visible lines, as [start, end). */
function seenTokens(root: HTMLElement): readonly [number, number] {
  const { scrollTop, clientHeight, children } = root;
  // Without layout, as in a test, all tokens count as visible.
  if (clientHeight === 0) return [0, children.length];
  const topOf = (i: number) => (children[i] as HTMLElement).offsetTop;
  return [
    firstFrom(children.length, topOf, scrollTop - LINE),
    firstFrom(children.length, topOf, scrollTop + clientHeight),
  ];
}

const LINE = 26;

/** The first index whose value is at least `least`; values must be ascending. */
function firstFrom(n: number, numberAt: (i: number) => number, least: number): number {
  let [low, high] = [0, n];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numberAt(middle) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}
