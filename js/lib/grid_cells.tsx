// The painted cells of a grid, the titles of its panels, and the outlines over them.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { GridProps } from "./grid";
import { type Cursor, usePointer } from "./grid_cursor";
import type { Box } from "./grid_keys";
import { cellBox, cellsSize, type GridLayout, panelCorner } from "./grid_layout";
import { paintCells, sizeCanvas } from "./grid_paint";
import { usePalette } from "./theme";

interface GridCellsProps {
  grid: GridProps;
  layout: GridLayout;
  cursor: Cursor;
}

export function GridCells({ grid, layout, cursor }: GridCellsProps) {
  const { paint, revision, pinned, picked, shape } = grid;
  const canvas = useRef<HTMLCanvasElement>(null);
  const { mono } = usePalette();
  const density = useDensity();
  const { width, height } = cellsSize(layout);
  const { brush, handlers } = usePointer(grid, layout, cursor);
  useLayoutEffect(() => {
    if (!canvas.current) return;
    const context = sizeCanvas(canvas.current, width, height, density);
    if (context) paintCells(context, layout, paint, mono);
  }, [layout, paint, revision, mono, density, width, height]);
  return (
    <div
      class="hs-cells"
      data-hs="cells"
      style={{ width: `${width}px`, height: `${height}px` }}
      {...handlers}
    >
      <canvas ref={canvas} />
      {shape.panels.map((title, panel) => {
        const { left, top } = panelCorner(layout, panel);
        const box = { left, top: top - 17, width: layout.columns * layout.cellWidth };
        return (
          <div key={title} class="hs-over-cells hs-panel-title" style={pixels(box)}>
            <span>{title}</span>
          </div>
        );
      })}
      {picked.map((index) => (
        <Outline key={index} box={cellBox(layout, index)} index={index} kind="picked" />
      ))}
      <Outlines layout={layout} active={cursor.active} pinned={pinned} />
      {brush && <i class="hs-outline hs-brush" data-hs="brush" style={pixels(brush)} />}
    </div>
  );
}

interface OutlinesProps {
  layout: GridLayout;
  active: number | null;
  pinned: number | null;
}

export function Outlines({ layout, active, pinned }: OutlinesProps) {
  return (
    <>
      {active !== null && <Outline box={cellBox(layout, active)} index={active} kind="active" />}
      {pinned !== null && <Outline box={cellBox(layout, pinned)} index={pinned} kind="pin" />}
    </>
  );
}

interface OutlineProps {
  box: Box;
  index: number;
  kind: "active" | "pin" | "picked" | "opened";
}

export function Outline({ box, index, kind }: OutlineProps) {
  return <i class={`hs-outline hs-outline-${kind}`} data-hs={kind} data-cell={index} style={pixels(box)} />;
}

export function pixels(box: Partial<Box>) {
  return Object.fromEntries(Object.entries(box).map(([name, value]) => [name, `${value}px`]));
}

export function useDensity(): number {
  const [density, setDensity] = useState(() => window.devicePixelRatio || 1);
  useEffect(() => {
    const query = matchMedia(`(resolution: ${density}dppx)`);
    const changed = () => setDensity(window.devicePixelRatio || 1);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, [density]);
  return density;
}
