// The drawing: edges on a canvas, nodes as buttons over it, tokens below them.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { toCss } from "../../lib/color";
import { keyHandler } from "../../lib/keys";
import { type Palette, usePalette } from "../../lib/theme";
import { Token } from "../../lib/tokens";
import { useWidth } from "../../lib/use_width";
import type { Edge, Graph, GraphNode } from "./graph";
import { DOT, type Layout, layoutOf, type Spot, spotBeyond } from "./layout";
import type { Pruned } from "./prune";
import { longName, type Names, shortName } from "./words";

export interface PictureProps {
  graph: Graph;
  shown: Pruned;
  groups: Readonly<Record<string, readonly string[]>>;
  names: Names;
  rising: boolean;
  /** The node in the card. */
  pinned: string | null;
  /** The node under the pointer, here or in a list. */
  hovered: string | null;
  subgraph: ReadonlySet<string>;
  /** Whether nodes have their names beside them. */
  named: boolean;
  onHover(id: string | null): void;
  onPin(id: string | null): void;
  /** A click with Shift. */
  onToggle?: ((ids: string[]) => void) | undefined;
}

const px = (n: number): string => `${n}px`;

export function Picture(props: PictureProps) {
  const { graph, shown, groups, rising, pinned, hovered } = props;
  const view = useRef<HTMLDivElement>(null);
  const width = useWidth(view);
  const palette = usePalette();
  const layout = useMemo(
    () => layoutOf(graph, shown.nodes, groups, width, rising),
    [graph, shown, groups, width, rising],
  );
  const lines = useMemo(() => linesOf(layout, shown.edges), [layout, shown]);
  const focus = layout.spotOf.get(hovered ?? pinned ?? "")?.key ?? null;
  const lit = useMemo(
    () => lines.filter(({ from, to }) => from.key === focus || to.key === focus),
    [lines, focus],
  );
  const near = useMemo(
    () => new Set([focus, ...lit.flatMap(({ from, to }) => [from.key, to.key])]),
    [lit, focus],
  );
  return (
    <div class="hs-fg-view" ref={view} data-hs="graph-view">
      <div
        class="hs-fg"
        role="group"
        aria-label={`Attribution graph, ${shown.nodes.length} nodes, ${shown.edges.length} edges`}
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
          <span key={label} class="hs-fg-row" style={{ top: px(y) }} aria-hidden="true">
            {label}
          </span>
        ))}
        <Canvas layout={layout} lines={lines} lit={lit} faded={focus !== null} palette={palette} />
        <Dots {...props} layout={layout} near={focus === null ? null : near} />
      </div>
      <div class="hs-fg-tokens" style={{ width: px(layout.width) }} aria-hidden="true">
        {layout.columns.map(({ position, x, width }) => (
          <span key={position} style={{ left: px(x), width: px(width) }} title={`position ${position}`}>
            <Token text={graph.json.prompt.tokens[position] ?? ""} />
          </span>
        ))}
      </div>
    </div>
  );
}

interface Line {
  from: Spot;
  to: Spot;
  weight: number;
  flow: number;
}

/** Edges between spots; those between the same two are one. */
function linesOf({ spotOf }: Layout, edges: readonly Edge[]): Line[] {
  const lines = new Map<string, Line>();
  for (const edge of edges) {
    const [from, to] = [spotOf.get(edge.from.id), spotOf.get(edge.to.id)];
    if (!from || !to || from === to) continue;
    const key = `${from.key} ${to.key}`;
    const line = lines.get(key);
    if (line) {
      line.weight += edge.weight;
      line.flow += edge.flow;
    } else lines.set(key, { from, to, weight: edge.weight, flow: edge.flow });
  }
  return [...lines.values()].sort((a, b) => b.flow - a.flow);
}

interface CanvasProps {
  layout: Layout;
  lines: readonly Line[];
  lit: readonly Line[];
  faded: boolean;
  palette: Palette;
}

const MOST_PIXELS = 8e6;

function Canvas({ layout, lines, lit, faded, palette }: CanvasProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context) return;
    const { width, height } = layout;
    const density = Math.min(window.devicePixelRatio || 1, Math.sqrt(MOST_PIXELS / (width * height)));
    element.width = Math.round(width * density);
    element.height = Math.round(height * density);
    context.scale(element.width / width, element.height / height);
    paint(context, lines, faded ? 0.05 : 0.5, palette);
    if (faded) paint(context, lit, 0.9, palette);
  }, [layout, lines, lit, faded, palette]);
  return <canvas ref={canvas} style={{ width: px(layout.width), height: px(layout.height) }} />;
}

const WIDEST = 5;

/** Blue adds, orange takes away; as wide as the influence that flows through. */
function paint(
  context: CanvasRenderingContext2D,
  lines: readonly Line[],
  most: number,
  { clean, corrupt }: Palette,
): void {
  const largest = lines[0]?.flow || 1;
  context.lineCap = "round";
  for (let i = lines.length - 1; i >= 0; i--) {
    const { from, to, weight, flow } = lines[i] as Line;
    const part = Math.sqrt(flow / largest);
    context.globalAlpha = most * (0.15 + 0.85 * part);
    context.lineWidth = Math.max(0.6, WIDEST * part * part);
    context.strokeStyle = toCss(weight >= 0 ? clean : corrupt);
    const middle = (from.y + to.y) / 2;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.bezierCurveTo(from.x, middle, to.x, middle, to.x, to.y);
    context.stroke();
  }
  context.globalAlpha = 1;
}

function Dots(props: PictureProps & { layout: Layout; near: ReadonlySet<string | null> | null }) {
  const { graph, layout, names, pinned, near, subgraph, named } = props;
  const [tabbed, setTabbed] = useState<string | null>(null);
  const ground = useRef<HTMLSpanElement>(null);
  const pinnedKey = layout.spotOf.get(pinned ?? "")?.key;
  const first = [tabbed, pinnedKey, [...layout.spots.keys()].at(-1)].find(
    (key) => key && layout.spots.has(key),
  );
  const main = ({ nodes }: Spot) => nodes[0] as GraphNode;
  return (
    <span ref={ground}>
      {[...layout.spots.values()].map((spot) => {
        const node = main(spot);
        const words = spot.group ?? longName(graph, names, node);
        return (
          <button
            key={spot.key}
            type="button"
            class="hs-plain hs-focusable hs-fg-dot"
            data-node={spot.key}
            data-kind={spot.group === null ? node.kind : "group"}
            data-traced={node.row === null || node.traced}
            data-dim={near !== null && !near.has(spot.key)}
            data-kept={spot.nodes.every(({ id }) => subgraph.has(id))}
            aria-pressed={spot.key === pinnedKey}
            aria-label={spot.group === null ? words : `supernode ${words}, ${spot.nodes.length} nodes`}
            title={words}
            tabIndex={spot.key === first ? 0 : -1}
            style={{ left: px(spot.x - DOT / 2), top: px(spot.y - DOT / 2) }}
            onPointerEnter={() => props.onHover(node.id)}
            onFocus={() => setTabbed(spot.key)}
            onClick={(event) => {
              if (event.shiftKey && props.onToggle) props.onToggle(spot.nodes.map(({ id }) => id));
              else props.onPin(node.id === pinned ? null : node.id);
            }}
            onKeyDown={keyHandler(({ key, shiftKey }) => {
              if (key === "Escape") props.onPin(null);
              if (key === "Enter" && shiftKey) props.onToggle?.(spot.nodes.map(({ id }) => id));
              const next = spotBeyond(layout, key, spot);
              const found =
                next && ground.current?.querySelector<HTMLElement>(`[data-node="${CSS.escape(next.key)}"]`);
              found?.focus();
              return Boolean(next) || key === "Escape" || (key === "Enter" && shiftKey);
            })}
          >
            {(named || spot.group !== null) && (
              <span class="hs-fg-name hs-cut">{spot.group ?? shortName(graph, names, node)}</span>
            )}
          </button>
        );
      })}
    </span>
  );
}
