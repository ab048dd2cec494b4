// The drawing of a circuit: edges on a canvas, nodes as buttons over it. What belongs to the node or the edge under the
// pointer is drawn once more on a second canvas, while the first fades.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { keyHandler } from "../../lib/keys";
import { usePalette } from "../../lib/theme";
import { useWidth } from "../../lib/use_width";
import { type Drawn, useFitted } from "./arrangement";
import { Band, nodesWithin, useBand } from "./band";
import { AllEdges, LitEdges } from "./edge_canvas";
import type { Edge } from "./graph";
import { type Group, grouped } from "./groups";
import type { Layout } from "./layout";
import { type Line, largestOf, linesOf } from "./lines";
import { nearestAmong } from "./nearest";
import { Nodes } from "./nodes";
import { type Lit, pathsAmong } from "./through";
import { useZoom, zoomIn, zoomOut } from "./zoom";
import { ZoomButtons } from "./zoom_buttons";

export type Hovered = { node: string } | { edge: Edge } | null;

export interface PictureProps extends Drawn {
  label: string;
  pinned: string | null;
  /** Whether the paths through the pinned node stand out while nothing is under the pointer. */
  pinStandsOut?: boolean;
  /** Nodes with a mark of their own, such as the receivers of a trail. */
  marked?: ReadonlySet<string>;
  /** What is under the pointer, here or in a list. */
  hovered: Hovered;
  onHover(hovered: Hovered): void;
  /** What a click on a node does, for its tooltip. */
  action: string;
  onChoose(name: string | null): void;
  /** Nodes of a set that the reader is making. */
  chosen?: ReadonlySet<string>;
  /** A click on a node with Shift. */
  onToggle?(name: string): void;
  /** All nodes in a rectangle that was drawn with Shift. */
  onChooseAll?(names: string[]): void;
  /** Nodes that are drawn as one. */
  groups?: readonly Group[];
  onOpenGroup?(name: string): void;
}

const px = (n: number): string => `${n}px`;
const NO_GROUPS: readonly Group[] = [];

export function Picture(props: PictureProps) {
  const { label, nodes, pinned, hovered, groups = NO_GROUPS } = props;
  const [view, inner] = [useRef<HTMLDivElement>(null), useRef<HTMLDivElement>(null)];
  const width = useWidth(view);
  const palette = usePalette();
  const { layout, scale: least, height } = useFitted(props, groups, width);
  const edges = useMemo(() => grouped(props.edges, groups), [props.edges, groups]);
  const lines = useMemo(() => linesOf(layout, edges), [layout, edges]);
  const largest = useMemo(() => largestOf(edges), [edges]);
  const zoom = useZoom(view, inner, layout, least, { width, height });
  const focus = focusOf(hovered, props.pinStandsOut ? pinned : null);
  const through = useMemo(() => pathsAmong(lines), [lines]);
  const rests = useResting(focus?.key ?? "", REST_MS) || lines.length <= MANY;
  const lit = useMemo(
    () => (focus ? litBy(focus, lines, through, rests) : NOTHING_LIT),
    [through, focus?.key, rests],
  );
  const latest = useRef(props);
  latest.current = props;
  const lineAt = useLineAt(lines, largest, layout);
  const placeOf = (event: PointerEvent) => {
    const box = (inner.current as HTMLElement).getBoundingClientRect();
    const scale = box.width / layout.width || 1;
    return { x: (event.clientX - box.left) / scale, y: (event.clientY - box.top) / scale };
  };
  const band = useBand(
    placeOf,
    () => props.onHover(null),
    props.onChooseAll && ((corners) => props.onChooseAll?.(nodesWithin(layout, corners))),
  );
  const overGround = (event: PointerEvent) => {
    if (band.move(event) || inner.current?.dataset.moving) return;
    if ((event.target as Element).closest("button")) return;
    const { x, y } = placeOf(event);
    const edge = lineAt(x, y)?.edge ?? null;
    const known = hovered && "edge" in hovered ? hovered.edge : null;
    if (edge !== known || (hovered && !edge)) props.onHover(edge && { edge });
  };
  const shades = { layout, scale: zoom.scale, largest, palette };
  return (
    <>
      <div class="hs-circuit" ref={view} style={{ height: px(height) }}>
        <div
          class="hs-circuit-inner"
          ref={inner}
          role="group"
          aria-label={label}
          data-hs="circuit"
          data-nodes={nodes.length}
          data-edges={edges.length}
          data-arrange={layout.routes ? "flow" : "head"}
          style={{ width: px(layout.width), height: px(layout.height) }}
          {...band.handlers}
          onKeyDown={keyHandler(({ key }) => {
            const act = {
              "+": () => zoomIn(zoom),
              "=": () => zoomIn(zoom),
              "-": () => zoomOut(zoom),
              "0": zoom.fit,
            }[key];
            act?.();
            return act !== undefined;
          })}
          onPointerMove={overGround}
          onPointerLeave={() => props.onHover(null)}
          onClick={(event) => {
            if (!event.shiftKey && !(event.target as Element).closest("button")) props.onChoose(null);
          }}
        >
          {useMemo(
            () => (
              <Rows layout={layout} />
            ),
            [layout],
          )}
          <AllEdges {...shades} lines={lines} faded={focus !== null} />
          <LitEdges {...shades} lit={lit} />
          <Nodes
            latest={latest}
            layout={layout}
            pinned={pinned}
            marked={props.marked}
            chosen={props.chosen}
            action={props.action}
            choosable={props.onToggle !== undefined}
            lit={useMemo(() => (focus && rests ? nodesLit(lit, focus) : null), [lit, rests])}
            reveal={zoom.reveal}
          />
          {band.corners && <Band corners={band.corners} />}
        </div>
      </div>
      {!zoom.whole && <ZoomButtons zoom={zoom} least={least} />}
    </>
  );
}

/** The index of the edges is made when the pointer first comes. */
function useLineAt(lines: readonly Line[], largest: number, { width, height }: Layout) {
  const index = useRef<{ lines: readonly Line[]; at: ReturnType<typeof nearestAmong> } | null>(null);
  return (x: number, y: number) => {
    if (index.current?.lines !== lines)
      index.current = { lines, at: nearestAmong(lines, largest, width, height) };
    return index.current.at(x, y);
  };
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

const NOTHING_LIT: readonly Lit[] = [];

/** Of a large circuit, what is far from a node stands out only once the pointer rests on it. */
const REST_MS = 60;
const MANY = 400;

/** Whether a value has been the same for a while. */
function useResting(value: string, ms: number): boolean {
  const [lasting, setLasting] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setLasting(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return lasting === value;
}

/** Of a node all paths through it, or its own edges if the pointer only passes; of an edge the edge. */
function litBy(
  { node, edge }: Focus,
  lines: readonly Line[],
  through: (node: string, most?: number) => Lit[],
  rests: boolean,
): readonly Lit[] {
  if (node) return through(node, rests ? Number.POSITIVE_INFINITY : 1);
  return lines
    .filter((line) => line.edge.from === edge?.from && line.edge.receiver === edge.receiver)
    .map((line) => ({ line, away: 1 }));
}

function nodesLit(lit: readonly Lit[], { node }: Focus): Set<string> {
  const found = new Set(node ? [node] : []);
  for (const { line } of lit) found.add(line.edge.from).add(line.to);
  return found;
}
