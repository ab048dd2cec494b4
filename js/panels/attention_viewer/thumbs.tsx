// All heads as thumbnails: hovering reads a head, a click opens or closes it, Shift-click pins it.
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { Output } from "../../lib/current";
import { fixed } from "../../lib/format";
import { markEdges, reveal } from "../../lib/grid";
import { useCursor, usePointer } from "../../lib/grid_cursor";
import { ColumnLabels, RowLabels } from "../../lib/grid_labels";
import { cellsSize } from "../../lib/grid_layout";
import { cellId, GridRows } from "../../lib/grid_rows";
import { useUniqueId } from "../../lib/unique_id";
import { AT_ONCE, orderOf } from "./order";
import type { Scene } from "./scene";
import { ThumbCanvas } from "./thumb_canvas";
import type { ThumbSource } from "./thumb_codes";
import { layoutThumbs, thumbBox } from "./thumb_layout";
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
  const label = (text: string, title: string) => ({ lines: [{ text, tone: null }], title });
  return (
    <div
      ref={scroller}
      class="hs-grid hs-focusable"
      role="grid"
      tabIndex={0}
      data-hs="heads-grid"
      aria-label="Heads; Enter opens one, Shift and Enter pins it"
      aria-rowcount={layout.panels * layout.rows}
      aria-colcount={layout.columns}
      aria-activedescendant={cursor.place === null ? undefined : cellId(id, cursor.place)}
      onKeyDown={cursor.onKeyDown}
      onBlur={cursor.onBlur}
      onScroll={(event) => markEdges(event.currentTarget)}
      style={{ "--hs-gutter": `${layout.gutter}px`, "--hs-footer": `${layout.footer}px` }}
    >
      <div class="hs-grid-inner" aria-hidden="true">
        {rows ? (
          <RowLabels
            layout={layout}
            labels={rows.map((row) => {
              const layer = attention.json.layers[row] ?? row;
              return label(String(layer), `layer ${layer}`);
            })}
            active={cursor.active}
          />
        ) : (
          <span />
        )}
        <div
          class="hs-cells"
          data-hs="cells"
          style={{ width: `${width}px`, height: `${height}px` }}
          {...handlers}
        >
          <ThumbCanvas {...{ scene, source, layout, heads }} width={width} height={height} />
          {!rows &&
            heads.map((head, place) => {
              const box = thumbBox(layout, place);
              const style = pixels({ left: box.left, top: box.top - 17, width: layout.thumb });
              return (
                <div key={head} class="hs-thumb-caption" style={style}>
                  <span>{attention.nameOf(head)}</span> {score && <b>{fixed(score.values[head])}</b>}
                </div>
              );
            })}
          {heads.map((head, place) => {
            const kind = head === chosen ? "pin" : opened.includes(head) ? "opened" : null;
            return kind && <Outline key={head} {...{ layout, place, kind }} />;
          })}
          {cursor.active !== null && <Outline layout={layout} place={cursor.active} kind="active" />}
        </div>
        {rows && (
          <>
            <div class="hs-grid-corner">layer</div>
            <ColumnLabels
              layout={layout}
              labels={attention.json.heads.map((head) => label(String(head), `head ${head}`))}
              active={cursor.active}
            />
          </>
        )}
      </div>
      {words}
    </div>
  );
}

function Outline({ layout, place, kind }: { layout: GridProps["layout"]; place: number; kind: string }) {
  return (
    <i
      class={`hs-outline hs-outline-${kind}`}
      data-hs={kind}
      data-cell={place}
      style={pixels(thumbBox(layout, place))}
    />
  );
}

function pixels(box: Record<string, number>) {
  return Object.fromEntries(Object.entries(box).map(([name, value]) => [name, `${value}px`]));
}
