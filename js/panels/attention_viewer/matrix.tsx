// The matrix of an opened head. Hovering moves the cross hairs over the matrix, which is not drawn again.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { useDensity } from "../../lib/grid_cells";
import { paintStill } from "../../lib/grid_paint";
import { cellId } from "../../lib/grid_rows";
import { cellInTable, isChoosing, keyHandler } from "../../lib/keys";
import { useUniqueId } from "../../lib/unique_id";
import { CrossHairs, placeCross } from "./cross_hairs";
import { layoutMatrix, matrixCellAt } from "./matrix_layout";
import { type MatrixScene, paintMatrix } from "./matrix_paint";
import { type Cell, NOWHERE, useDrawing } from "./pointed";
import type { Scene } from "./scene";
import { tokenWords, valueWords } from "./words";

interface MatrixProps {
  scene: Scene;
  head: number;
  values: Float32Array;
  room: number;
  onLock(cell: Cell): void;
}

export function Matrix({ scene, head, values, room, onLock }: MatrixProps) {
  const { attention, tokens, scaling, colors, palette, marked, pointed, locked } = scene;
  const density = useDensity();
  const labelled = attention.json.axis_labels !== false;
  const layout = useMemo(
    () => layoutMatrix(tokens, room, palette.mono, { labelled, density }),
    [tokens, room, palette.mono, labelled, density],
  );
  const drawn = useMemo<MatrixScene>(
    () => ({ layout, values, scaling, colors, palette, marked, labelled }),
    [layout, values, scaling, colors, palette, marked, labelled],
  );
  const ground = useRef<HTMLCanvasElement>(null);
  const cross = useRef<HTMLDivElement>(null);
  const { width, height } = layout;
  useLayoutEffect(() => {
    const draw = (context: CanvasRenderingContext2D, scale: number) => paintMatrix(context, drawn, scale);
    if (ground.current) paintStill(ground.current, { width, height, density }, draw);
  }, [drawn, density]);
  const own = locked.head === head || locked.head === null ? locked : NOWHERE;
  const drawCross = () => {
    const place = pointed.get();
    // A position that is pointed at in the text, or in another head, is a row here.
    const here = place.head === head || place.head === null ? place : { ...place, source: null };
    if (cross.current) placeCross(cross.current, layout, here, own);
  };
  useDrawing(pointed, drawCross, [layout, own]);
  useEffect(() => () => pointed.get().head === head && pointed.at(NOWHERE), [pointed, head]);
  const keys = useMatrixKeys(scene, head, onLock);
  const cellOf = (event: MouseEvent) => {
    const { left, top } = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return matrixCellAt(layout, event.clientX - left, event.clientY - top);
  };
  return (
    <div
      class="hs-matrix hs-focusable"
      data-hs="matrix"
      role="grid"
      tabIndex={0}
      aria-label={`${attention.titleOf(head)}: rows look at columns; arrow keys move, Enter locks`}
      aria-rowcount={tokens.length}
      aria-colcount={tokens.length}
      aria-activedescendant={keys.cell === null ? undefined : cellId(keys.id, keys.cell)}
      style={{ width: `${width}px`, height: `${height}px` }}
      onKeyDown={keys.onKeyDown}
      onBlur={() => pointed.at(NOWHERE)}
      onPointerMove={(event) => {
        const cell = cellOf(event);
        pointed.at(cell ? { head, ...cell } : NOWHERE);
      }}
      onPointerLeave={() => pointed.at(NOWHERE)}
      onClick={(event) => {
        const cell = cellOf(event);
        if (cell) onLock({ head, ...cell });
      }}
    >
      <canvas ref={ground} />
      <CrossHairs root={cross} labelled={labelled} />
      <SaidCell scene={scene} head={head} values={values} id={keys.id} cell={keys.cell ?? 0} />
    </div>
  );
}

/** The keyboard's cell in words: of perhaps a million cells, the only cell in the document. */
function SaidCell({
  scene,
  values,
  id,
  cell,
}: Pick<MatrixProps, "scene" | "head" | "values"> & { id: string; cell: number }) {
  const { tokens, side } = scene;
  const [position, source] = [Math.floor(cell / tokens.length), cell % tokens.length];
  const words = `${tokenWords(tokens, position)} looks at ${tokenWords(tokens, source)}`;
  return (
    // biome-ignore lint/a11y: focus stays on the grid, which names the active cell
    <div class="hs-sr" role="row" aria-rowindex={position + 1}>
      {/* biome-ignore lint/a11y: focus stays on the grid, which names the active cell */}
      <span role="gridcell" id={cellId(id, cell)} data-hs="said-cell" aria-colindex={source + 1}>
        {`${words}: ${valueWords(values[cell], side)}`}
      </span>
    </div>
  );
}

function useMatrixKeys(scene: Scene, head: number, onLock: MatrixProps["onLock"]) {
  const { tokens, locked, pointed } = scene;
  const id = useUniqueId();
  const n = tokens.length;
  const [moved, setMoved] = useState<number | null>(null);
  const start = locked.position === null ? null : locked.position * n + (locked.source ?? locked.position);
  const cell = moved !== null && moved < n * n ? moved : start;
  const onKeyDown = keyHandler((event) => {
    const [row, column] = [Math.floor((cell ?? 0) / n), (cell ?? 0) % n];
    const next = cellInTable(event.key, row, column, n, n);
    if (next) {
      const to = cell === null ? { row: n - 1, column: n - 1 } : next;
      setMoved(to.row * n + to.column);
      pointed.at({ head, position: to.row, source: to.column });
    } else if (isChoosing(event) && cell !== null) {
      onLock({ head, position: row, source: column });
    } else if (event.key === "Escape") {
      onLock({ head, position: null, source: null });
      pointed.at(NOWHERE);
    } else return false;
    return true;
  });
  return { id, cell, onKeyDown };
}
