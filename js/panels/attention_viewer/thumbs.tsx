// All heads as thumbnails: hovering reads a head, a click opens or closes it, Shift-click pins it.
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { Output } from "../../lib/current";
import { fixed } from "../../lib/format";
import { GridFrame, markEdges, reveal } from "../../lib/grid";
import { Outline, pixels, useDensity } from "../../lib/grid_cells";
import { useCursor, usePointer } from "../../lib/grid_cursor";
import { cellsSize, plainLabel } from "../../lib/grid_layout";
import { paintStill } from "../../lib/grid_paint";
import { GridRows } from "../../lib/grid_rows";
import { useUniqueId } from "../../lib/unique_id";
import { AT_ONCE, orderOf } from "./order";
import type { Scene } from "./scene";
import type { ThumbSource } from "./thumb_codes";
import { layoutThumbs, type ThumbLayout, thumbBox } from "./thumb_layout";
import { paintThumbs } from "./thumb_paint";
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
        <Button name="more-heads" quiet onClick={() => setMore(more + 1)}>
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
  // The pointer draws no rectangle here.
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
  useLayoutEffect(() => {
    const whole = source.cells === tokens.length;
    const cells = whole ? marked.map((one) => one.cells) : [];
    const drawn = { layout, heads, source, colors, palette, marked: cells };
    const draw = (context: CanvasRenderingContext2D, scale: number) => paintThumbs(context, drawn, scale);
    if (canvas.current) paintStill(canvas.current, { width, height, density }, draw);
  }, [source, layout, heads, colors, palette, marked, density, width, height]);
  return <canvas ref={canvas} />;
}
