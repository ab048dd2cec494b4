// The layout of the thumbnails: a grid of layers by heads or, when sorted by a score, a flow.
import { cellBox, type GridLayout, ONE_PANEL, PANEL_GAP } from "../../lib/grid_layout";
import type { Order } from "./order";

export interface ThumbLayout extends GridLayout {
  /** The side of a thumbnail in CSS pixels; the rest of its cell is a gap. */
  thumb: number;
}

/** A grid of many layers is shrunk to fit the screen, but not below a size that can be clicked. */
const COMFORTABLE = 560;
const LEAST = 14;
const MOST = 66;
const FLOWING = 70;
const CAPTION = 19;

/** `cells` is how many cells a thumbnail has along a side; if they are few, each cell gets whole pixels. */
export function layoutThumbs(
  { rows, heads }: Order,
  columns: number,
  cells: number,
  room: number,
  flip: boolean,
): ThumbLayout {
  if (!rows) return flow(heads.length, cells, room);
  const gutter = 30;
  const offered = Math.min(
    MOST,
    Math.floor((room - gutter) / columns),
    Math.floor(COMFORTABLE / rows.length),
  );
  const cell = Math.max(LEAST, offered);
  const gap = cell >= 40 ? 6 : cell >= 24 ? 3 : 2;
  const thumb = wholeCells(cell - gap, cells);
  return {
    ...ONE_PANEL,
    rows: rows.length,
    columns,
    cellWidth: thumb + gap,
    cellHeight: thumb + gap,
    gutter,
    footer: 24,
    labels: cell >= 16 || columns <= 10 ? "level" : "unseen",
    flip,
    thumb,
  };
}

function flow(panels: number, cells: number, room: number): ThumbLayout {
  const thumb = wholeCells(FLOWING, cells);
  const cell = Math.max(thumb, FLOWING - 8) + 2;
  const across = Math.max(1, Math.min(panels, Math.floor((room + PANEL_GAP) / (cell + PANEL_GAP))));
  return {
    rows: 1,
    columns: 1,
    panels,
    across,
    cellWidth: cell,
    cellHeight: thumb + 10,
    gutter: 0,
    footer: 0,
    head: CAPTION,
    labels: "unseen",
    flip: false,
    rise: false,
    thumb,
  };
}

function wholeCells(side: number, cells: number): number {
  const whole = Math.floor(side / cells);
  return whole >= 3 ? whole * cells : side;
}

export function thumbBox(layout: ThumbLayout, place: number) {
  const { left, top } = cellBox(layout, place);
  // One pixel of the gap is before the thumbnail, so that its frame is inside the canvas.
  return { left: left + 1, top: top + 1, width: layout.thumb, height: layout.thumb };
}
