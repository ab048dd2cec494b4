// The drawing of a circuit: edges on a canvas, nodes as buttons over it. What belongs to the node or the edge under the
// pointer is drawn once more on a second canvas, while the first fades.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Rgb, toCss } from "../../lib/color";
import { keyHandler } from "../../lib/keys";
import { type Palette, usePalette } from "../../lib/theme";
import { useWidth } from "../../lib/use_width";
import { drawnTo, type Edge, INPUT } from "./graph";
import { type Layout, layoutCircuit, NODE_HEIGHT, nodeBeyond, pathBetween } from "./layout";
import { longName, shortName } from "./words";

export interface Line {
  edge: Edge;
  path: string;
}

interface PictureProps {
  label: string;
  nodes: readonly string[];
  /** All nodes of the model, which say how many columns there are. */
  all: readonly string[];
  edges: readonly Edge[];
  rising: boolean;
  pinned: string | null;
  /** Whether the pinned node's own edges stand out while nothing is under the pointer. */
  pinStandsOut?: boolean;
  /** Nodes with a mark of their own, such as the receivers of a trail. */
  marked?: ReadonlySet<string>;
  /** What is under the pointer, here or in a list. */
  hovered: Hovered;
  onHover(hovered: Hovered): void;
  /** What a click on a node does, for its tooltip. */
  action: string;
  onChoose(name: string | null): void;
}

const px = (n: number): string => `${n}px`;

export type Hovered = { node: string } | { edge: Edge } | null;

export function Picture(props: PictureProps) {
  const { label, nodes, all, edges, rising, pinned, hovered, onHover } = props;
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const palette = usePalette();
  const layout = useMemo(() => layoutCircuit(nodes, all, width, rising), [nodes, all, width, rising]);
  const lines = useMemo(() => linesOf(layout, edges), [layout, edges]);
  const focus = focusOf(hovered, props.pinStandsOut ? pinned : null);
  const lit = useMemo(() => lines.filter(({ edge }) => isLit(edge, focus)), [lines, focus?.key]);
  const largest = useMemo(() => edges.reduce((most, edge) => Math.max(most, sizeOf(edge)), 0), [edges]);
  const shades = { largest, palette };
  return (
    <div class="hs-circuit" ref={box}>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: edges can be reached in the lists beside the picture */}
      <div
        class="hs-circuit-inner"
        role="group"
        aria-label={label}
        data-hs="circuit"
        data-nodes={nodes.length}
        data-edges={edges.length}
        style={{ width: px(layout.width), height: px(layout.height) }}
        onPointerMove={(event) => {
          if ((event.target as Element).closest("button")) return;
          const { left, top } = event.currentTarget.getBoundingClientRect();
          const line = lineAt(lines, event.clientX - left, event.clientY - top);
          onHover(line ? { edge: line.edge } : null);
        }}
        onPointerLeave={() => onHover(null)}
        onClick={(event) => !(event.target as Element).closest("button") && props.onChoose(null)}
      >
        <Rows layout={layout} />
        <Lines layout={layout} lines={lines} faded={focus !== null} {...shades} />
        <Lines layout={layout} lines={focus ? lit : []} {...shades} />
        <Nodes {...props} layout={layout} lit={focus && nodesLit(lit, focus)} />
      </div>
    </div>
  );
}

function Rows({ layout }: { layout: Layout }) {
  return (
    <>
      {layout.rows.map(({ layer, y }) => (
        <span
          key={layer}
          class="hs-circuit-row"
          style={{ top: px(y), width: px(layout.width) }}
          aria-hidden="true"
        >
          {layer}
        </span>
      ))}
    </>
  );
}

interface Shades {
  largest: number;
  palette: Palette;
}

function Lines({
  layout,
  lines,
  faded,
  largest,
  palette,
}: Shades & { layout: Layout; lines: readonly Line[]; faded?: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (canvas.current) paintLines(canvas.current, layout, lines, { largest, palette });
  }, [layout, lines, largest, palette]);
  return <canvas ref={canvas} class={faded ? "hs-faded" : ""} />;
}

export const sizeOf = ({ share, score }: Edge): number =>
  Math.abs(Number.isFinite(share) ? share : score) || 0;
const isFor = ({ share, score }: Edge): boolean => (Number.isFinite(share) ? share : score) >= 0;

function paintLines(canvas: HTMLCanvasElement, layout: Layout, lines: readonly Line[], shades: Shades): void {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(layout.width * scale);
  canvas.height = Math.round(layout.height * scale);
  canvas.style.width = px(layout.width);
  canvas.style.height = px(layout.height);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(scale, scale);
  paintEdges(context, lines, shades);
}

/** The strongest edges last, so that they lie on top. */
export function paintEdges(
  context: CanvasRenderingContext2D,
  lines: readonly Line[],
  { largest, palette }: Shades,
): void {
  context.lineCap = "round";
  for (const { edge, path } of [...lines].reverse()) {
    context.lineWidth = widthOf(edge, largest);
    context.strokeStyle = toCss(inkOf(edge, palette));
    context.globalAlpha = 0.8;
    context.stroke(new Path2D(path));
  }
  context.globalAlpha = 1;
}

export const widthOf = (edge: Edge, largest: number): number =>
  Math.max(0.7, (7 * sizeOf(edge)) / (largest || 1));
export const inkOf = (edge: Edge, { clean, corrupt }: Palette): Rgb => (isFor(edge) ? clean : corrupt);

export function linesOf(layout: Layout, edges: readonly Edge[]): Line[] {
  const sends = new Set(edges.map(({ from }) => from));
  return edges.flatMap((edge) =>
    drawnTo(edge, sends).flatMap((name) => {
      const [from, to] = [layout.boxes.get(edge.from), layout.boxes.get(name)];
      return from && to ? [{ edge, path: pathBetween(layout, from, to, edge.part) }] : [];
    }),
  );
}

const NEAR = 10;
let measuring: CanvasRenderingContext2D | null | undefined;

function lineAt(lines: readonly Line[], x: number, y: number): Line | null {
  measuring ??= document.createElement("canvas").getContext("2d");
  if (!measuring) return null;
  measuring.lineWidth = NEAR;
  for (const line of lines) if (measuring.isPointInStroke(new Path2D(line.path), x, y)) return line;
  return null;
}

interface Focus {
  key: string;
  node: string | null;
  edge: Edge | null;
}

function focusOf(hovered: Hovered, pinned: string | null): Focus | null {
  const node = hovered && "node" in hovered ? hovered.node : hovered ? null : pinned;
  const edge = hovered && "edge" in hovered ? hovered.edge : null;
  if (!node && !edge) return null;
  return { key: node ?? `${edge?.from} ${edge?.receiver}`, node, edge };
}

function isLit(edge: Edge, focus: Focus | null): boolean {
  if (!focus) return false;
  if (focus.edge) return edge.from === focus.edge.from && edge.receiver === focus.edge.receiver;
  return edge.from === focus.node || edge.to === focus.node || edge.readers.includes(focus.node ?? "");
}

function nodesLit(lit: readonly Line[], { node }: Focus): Set<string> {
  return new Set([
    ...(node ? [node] : []),
    ...lit.flatMap(({ edge }) => [edge.from, edge.to, ...edge.readers]),
  ]);
}

function Nodes({
  layout,
  nodes,
  pinned,
  marked,
  lit,
  action,
  onHover,
  onChoose,
}: PictureProps & { layout: Layout; lit: Set<string> | null }) {
  const [tabbed, setTabbed] = useState<string | null>(null);
  const first = [tabbed, pinned, nodes.at(-1)].find((name) => name && layout.boxes.has(name));
  const move = (from: string) =>
    keyHandler(({ key, currentTarget }) => {
      if (key === "Escape") onChoose(null);
      const next = nodeBeyond(layout, from, key);
      if (next) {
        setTabbed(next);
        (currentTarget as Element).parentElement
          ?.querySelector<HTMLElement>(`[data-node="${next}"]`)
          ?.focus();
      }
      return next !== null || key === "Escape";
    });
  return (
    <>
      {nodes.map((name) => {
        const at = layout.boxes.get(name);
        if (!at) return null;
        return (
          <button
            key={name}
            type="button"
            class="hs-plain hs-focusable hs-node"
            data-node={name}
            data-marked={marked?.has(name)}
            data-dim={lit !== null && !lit.has(name)}
            aria-pressed={name === pinned}
            aria-label={name === INPUT ? `embed, ${longName(name)}` : longName(name)}
            title={`${longName(name)}. ${action}`}
            tabIndex={name === first ? 0 : -1}
            style={{
              left: px(at.x - at.width / 2),
              top: px(at.y - NODE_HEIGHT / 2),
              width: px(at.width),
              height: px(NODE_HEIGHT),
            }}
            onPointerEnter={() => onHover({ node: name })}
            onFocus={() => setTabbed(name)}
            onClick={() => onChoose(name)}
            onKeyDown={move(name)}
          >
            {shortName(name)}
          </button>
        );
      })}
    </>
  );
}
