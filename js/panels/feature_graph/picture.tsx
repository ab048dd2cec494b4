// The drawing: edges on two canvases, of which the second has those of the node under the pointer, nodes as buttons over
// them, and tokens below.
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { type Palette, usePalette } from "../../lib/theme";
import { Token } from "../../lib/tokens";
import { useWidth } from "../../lib/use_width";
import { type Arranged, arrange } from "./arrange";
import { Dots } from "./dots";
import type { Layout, Spot } from "./layout";
import { type Line, linesOf, opacityOf, paintLines } from "./lines";

export interface PictureProps extends Arranged {
  /** The node in the card. */
  pinned: string | null;
  /** The node under the pointer, here or in a list. */
  hovered: string | null;
  /** Nodes in the subgraph; where it is alone, the chosen ones. */
  marked: ReadonlySet<string>;
  onHover(id: string | null): void;
  onPin(id: string | null): void;
  /** A click with Shift. */
  onToggle?: ((ids: string[]) => void) | undefined;
}

const px = (n: number): string => `${n}px`;

export function Picture(props: PictureProps) {
  const { graph, shown, pinned, hovered } = props;
  const view = useRef<HTMLDivElement>(null);
  const palette = usePalette();
  const width = useWidth(view);
  const { groups, names, rising, named } = props;
  const layout = useMemo(
    () => arrange({ graph, shown, groups, names, rising, named }, width, palette),
    [graph, shown, groups, names, rising, named, width, palette],
  );
  const onScroll = useInSight(view, layout, layout.spotOf.get(pinned ?? ""), width);
  const lines = useMemo(() => linesOf(layout, shown.edges), [layout, shown]);
  const focus = layout.spotOf.get(hovered ?? "")?.key ?? layout.spotOf.get(pinned ?? "")?.key ?? null;
  const lit = useMemo(
    () => (focus === null ? NONE : lines.filter(({ from, to }) => from.key === focus || to.key === focus)),
    [lines, focus],
  );
  const near = useMemo(
    () => (focus === null ? null : new Set([focus, ...lit.flatMap(({ from, to }) => [from.key, to.key])])),
    [lit, focus],
  );
  const most = lines[0]?.flow ?? 0;
  const strongest = lit[0]?.flow ?? 0;
  return (
    <div
      class="hs-fg-view hs-focusable"
      ref={view}
      data-hs="graph-view"
      tabIndex={layout.width > 0 ? 0 : -1}
      role="region"
      aria-label="Attribution graph"
      onScroll={onScroll}
    >
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: Escape on a node does the same */}
      <div
        class="hs-fg"
        role="group"
        aria-label={`${shown.nodes.length} nodes, ${shown.edges.length} edges`}
        data-hs="graph"
        data-nodes={shown.nodes.length}
        data-edges={shown.edges.length}
        style={{ width: px(layout.width), height: px(layout.height) }}
        onPointerLeave={() => props.onHover(null)}
        onClick={(event) => {
          if (!event.shiftKey && !(event.target as Element).closest("button")) props.onPin(null);
        }}
      >
        {layout.rows.map(({ label, y }) => (
          <span
            key={label}
            class="hs-fg-row"
            style={{ top: px(y), width: px(layout.width) }}
            aria-hidden="true"
          >
            <span>{label}</span>
          </span>
        ))}
        <Canvas
          layout={layout}
          palette={palette}
          faded={focus !== null}
          paint={(context) =>
            paintLines(context, lines, { palette, most, opacityOf: (line) => opacityOf(line, most) })
          }
          on={lines}
        />
        <Canvas
          layout={layout}
          palette={palette}
          paint={(context) => paintLines(context, lit, { palette, most: strongest, opacityOf: () => 0.9 })}
          on={lit}
        />
        <Dots {...props} layout={layout} near={near} />
      </div>
      {!named && (
        <div class="hs-fg-tokens" style={{ width: px(layout.width) }} aria-hidden="true">
          {layout.columns.map(({ position, x, width }) => (
            <span key={position} style={{ left: px(x), width: px(width) }} title={`position ${position}`}>
              <Token text={graph.json.prompt.tokens[position] ?? ""} />
            </span>
          ))}
        </div>
      )}
    </div>
  );
}

/** Keeps the pinned node in sight where a picture is wider than its room, and else the last token, at which most of
 *  what matters is, until the user scrolls elsewhere. */
function useInSight(
  view: { current: HTMLElement | null },
  layout: Layout,
  pinned: Spot | undefined,
  width: number,
): () => void {
  const atEnd = useRef(true);
  useLayoutEffect(() => {
    const element = view.current;
    if (!element) return;
    if (atEnd.current) element.scrollLeft = element.scrollWidth;
    if (!pinned) return;
    const left = pinned.x - element.clientWidth / 2;
    if (Math.abs(element.scrollLeft - left) > element.clientWidth / 2 - pinned.width)
      element.scrollLeft = left;
  }, [layout.width, pinned?.x, width]);
  // Of the sizes as they were drawn: when the page has just become narrower, this is not the user's scrolling.
  return () => {
    atEnd.current = (view.current?.scrollLeft ?? 0) + width >= layout.width - 2;
  };
}

const NONE: readonly Line[] = [];
/** Of one canvas. A picture that is larger is drawn coarser. */
const MOST_PIXELS = 8e6;

interface CanvasProps {
  layout: Layout;
  palette: Palette;
  faded?: boolean;
  paint(context: CanvasRenderingContext2D): void;
  /** What is painted: it is painted anew when this changes. */
  on: readonly Line[];
}

function Canvas({ layout, palette, faded = false, paint, on }: CanvasProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const empty = useRef(true);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || (empty.current && on.length === 0)) return;
    const { width, height } = layout;
    const density = Math.min(window.devicePixelRatio || 1, Math.sqrt(MOST_PIXELS / (width * height)));
    element.width = Math.round(width * density);
    element.height = Math.round(height * density);
    context.scale(element.width / width, element.height / height);
    empty.current = on.length === 0;
    paint(context);
  }, [layout, palette, on]);
  return (
    <canvas
      ref={canvas}
      class={faded ? "hs-fg-faded" : ""}
      style={{ width: px(layout.width), height: px(layout.height) }}
    />
  );
}
