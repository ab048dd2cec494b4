// All heads as thumbnails: hovering shows a head's scores, a click opens or closes it, and Shift-click pins it.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { toCss } from "../../lib/color";
import { Button } from "../../lib/controls";
import { Output } from "../../lib/current";
import { fixed } from "../../lib/format";
import { GridFrame, markEdges, reveal } from "../../lib/grid";
import { Outline, pixels, useDensity } from "../../lib/grid_cells";
import { useCursor, usePointer } from "../../lib/grid_cursor";
import { cellsSize, plainLabel } from "../../lib/grid_layout";
import { paintStill } from "../../lib/grid_paint";
import { GridRows } from "../../lib/grid_rows";
import type { Palette } from "../../lib/theme";
import { useUniqueId } from "../../lib/unique_id";
import type { Colors } from "./colors";
import { AT_ONCE, orderOf } from "./order";
import { drawCodes, pixelsOf } from "./pixels";
import type { Scene } from "./scene";
import type { ThumbSource } from "./thumb_codes";
import { layoutThumbs, type ThumbLayout, thumbBox } from "./thumb_layout";
import { headWords } from "./words";

interface ThumbsProps {
  scene: Scene;
  source: ThumbSource;
  room: number;
  onToggle(head: number): void;
  onPin(head: number | null): void;
}

const NONE: readonly number[] = [];

export function Thumbs({ scene, source, room, onToggle, onPin }: ThumbsProps) {
  const { attention, layers, score, rising } = scene;
  const [more, setMore] = useState(1);
  const order = useMemo(() => orderOf(attention, layers, score), [attention, layers, score]);
  const most = order.rows ? order.heads.length : more * AT_ONCE;
  const heads = useMemo(() => order.heads.slice(0, most), [order, most]);
  const layout = useMemo(
    () => layoutThumbs({ ...order, heads }, attention.heads, source.cells, room, rising),
    [order, heads, attention, source.cells, room, rising],
  );
  const left = order.heads.length - heads.length;
  return (
    <Output name="thumbs" current={source.fresh} words="the heads of the last side and scale">
      <ThumbGrid {...{ scene, source, layout, heads, onToggle, onPin }} rows={order.rows} />
      {left > 0 && (
        <Button name="more-heads" title="Draw more heads" quiet onClick={() => setMore(more + 1)}>
          {left > AT_ONCE ? `Show ${AT_ONCE} of ${left} more` : `Show the other ${left}`}
        </Button>
      )}
    </Output>
  );
}

interface GridProps extends Omit<ThumbsProps, "room"> {
  layout: ReturnType<typeof layoutThumbs>;
  heads: number[];
  rows: number[] | null;
}

function ThumbGrid({ scene, source, layout, heads, rows, onToggle, onPin }: GridProps) {
  const { attention, opened, chosen, pointed, scores, score } = scene;
  const id = useUniqueId();
  const scroller = useRef<HTMLDivElement>(null);
  const headAt = (place: number | null) => (place === null ? null : (heads[place] ?? null));
  const choosing = {
    pinned: null,
    picked: NONE as number[],
    onActive: (place: number | null) => pointed.at({ head: headAt(place) }),
    onPin: (place: number | null) => {
      const head = headAt(place);
      if (head === null) onPin(null);
      else onToggle(head);
    },
    onPick: ([place = 0]: number[]) => onPin(headAt(place)),
  };
  const cursor = useCursor(choosing, layout, (place) => reveal(scroller.current, layout, place));
  // There is no rectangle selection here.
  const { handlers } = usePointer({ ...choosing, onPick: null }, layout, cursor);
  const words = useMemo(() => {
    const describe = (place: number) => headWords(attention, scores, opened, heads[place] ?? 0);
    const pinned = chosen === null ? null : heads.indexOf(chosen);
    return <GridRows {...{ id, layout, describe, pinned }} place={cursor.place} picked={NONE} />;
  }, [id, layout, attention, scores, opened, chosen, heads, cursor.place]);
  useLayoutEffect(() => {
    if (scroller.current) markEdges(scroller.current);
  }, [layout]);
  const { width, height } = cellsSize(layout);
  const { layers, heads: numbers } = attention.json;
  const labels = rows && {
    rows: rows.map((row) => plainLabel(String(layers[row]), `layer ${layers[row]}`)),
    columns: numbers.map((head) => plainLabel(String(head), `head ${head}`)),
    corner: "layer",
  };
  const outline = (place: number, kind: "active" | "pin" | "opened") => (
    <Outline key={`${place} ${kind}`} box={thumbBox(layout, place)} index={place} kind={kind} />
  );
  return (
    <GridFrame
      {...{ scroller, id, name: "heads-grid", layout, cursor, labels, words }}
      label="Heads; Enter opens one, Shift and Enter pins it"
      named={cursor.active}
    >
      <div class="hs-cells" data-hs="cells" style={pixels({ width, height })} {...handlers}>
        <ThumbCanvas {...{ scene, source, layout, heads, width, height }} />
        {!rows &&
          heads.map((head, place) => {
            const { left, top, width } = thumbBox(layout, place);
            return (
              <div
                key={head}
                class="hs-over-cells hs-thumb-caption"
                style={pixels({ left, top: top - 17, width })}
              >
                <span class="hs-cut">{attention.nameOf(head)}</span>{" "}
                {score && <b>{fixed(score.values[head])}</b>}
              </div>
            );
          })}
        {heads.map((head, place) => {
          const kind = head === chosen ? "pin" : opened.includes(head) ? "opened" : null;
          return kind && outline(place, kind);
        })}
        {cursor.active !== null && outline(cursor.active, "active")}
      </div>
    </GridFrame>
  );
}

interface CanvasProps {
  scene: Scene;
  source: ThumbSource;
  layout: ThumbLayout;
  heads: readonly number[];
  width: number;
  height: number;
}

function ThumbCanvas({ scene, source, layout, heads, width, height }: CanvasProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const density = useDensity();
  const { colors, palette, tokens, marked } = scene;
  // After the page has been painted: the thumbnails of a large model take as long as everything else together.
  useEffect(() => {
    const whole = source.cells === tokens.length;
    const cells = whole ? marked.map((mark) => mark.cells) : [];
    const drawn = { layout, heads, source, colors, palette, marked: cells };
    const draw = (context: CanvasRenderingContext2D, scale: number) => paintThumbs(context, drawn, scale);
    if (canvas.current) paintStill(canvas.current, { width, height, density }, draw);
  }, [source, layout, heads, colors, palette, marked, density, width, height]);
  return <canvas ref={canvas} />;
}

interface ThumbScene {
  layout: ThumbLayout;
  /** The index of the head at each place. */
  heads: readonly number[];
  source: ThumbSource;
  colors: Colors;
  palette: Palette;
  /** Marked cells as (row, column) pairs; only if each cell of a thumbnail is one token pair. */
  marked: readonly Int32Array[];
}

function paintThumbs(context: CanvasRenderingContext2D, scene: ThumbScene, density: number): void {
  const { layout, heads, source, colors } = scene;
  const { picture, show } = pixelsOf(context);
  const side = Math.round(layout.thumb * density);
  const cells = Math.min(source.cells, side);
  heads.forEach((head, place) => {
    const box = thumbBox(layout, place);
    const square = { left: Math.round(box.left * density), top: Math.round(box.top * density), side, gap: 0 };
    drawCodes(picture, square, source.codes(head, cells), 0, cells, colors);
  });
  show();
  for (let place = 0; place < heads.length; place++) paintOver(context, scene, place);
}

/** The marks, and a frame that shows to which head an empty corner belongs. */
function paintOver(context: CanvasRenderingContext2D, scene: ThumbScene, place: number): void {
  const { layout, source, palette, marked } = scene;
  const { left, top, width } = thumbBox(layout, place);
  const ink = toCss(palette.fg);
  context.globalAlpha = 0.14;
  context.strokeStyle = ink;
  context.lineWidth = 1;
  // The frame is on the thumbnail's own edge, because thumbnails of a large model are too close together.
  if (width >= 20) context.strokeRect(left - 0.5, top - 0.5, width + 1, width + 1);
  const cell = width / source.cells;
  const dot = Math.max(1, Math.min(2, cell / 3));
  context.globalAlpha = 0.5;
  context.fillStyle = ink;
  for (const cells of cell >= 2 ? marked : []) {
    for (let i = 0; i < cells.length; i += 2) {
      const [row = 0, column = 0] = [cells[i], cells[i + 1]];
      context.fillRect(left + (column + 0.5) * cell - dot / 2, top + (row + 0.5) * cell - dot / 2, dot, dot);
    }
  }
  context.globalAlpha = 1;
}
