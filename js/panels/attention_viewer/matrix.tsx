// The matrix of an opened head, with cross hairs over it. Hovering moves the cross hairs without redrawing the matrix.
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { useDensity } from "../../lib/grid_cells";
import { paintStill } from "../../lib/grid_paint";
import { cellId } from "../../lib/grid_rows";
import { cellInTable, isChoosing, keyHandler } from "../../lib/keys";
import { useUniqueId } from "../../lib/unique_id";
import { EDGE, layoutMatrix, type MatrixLayout, matrixCellAt } from "./matrix_layout";
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
    // A position that is hovered over in the text, or in another head, is a row here.
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
      aria-label={`${attention.titleOf(head)}: rows attend to columns; arrow keys move, Enter locks`}
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

/** The keyboard cursor's cell as text. The matrix may have a million cells, so only this one is in the document. */
function SaidCell({
  scene,
  values,
  id,
  cell,
}: Pick<MatrixProps, "scene" | "head" | "values"> & { id: string; cell: number }) {
  const { tokens, side } = scene;
  const [position, source] = [Math.floor(cell / tokens.length), cell % tokens.length];
  const words = `${tokenWords(tokens, position)} attends to ${tokenWords(tokens, source)}`;
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

type Cross = Pick<Cell, "position" | "source">;

/** The smallest outline that is visible. */
const LEAST = 5;

function CrossHairs({ root, labelled }: { root: RefObject<HTMLDivElement | null>; labelled: boolean }) {
  return (
    <div class="hs-cross" ref={root} aria-hidden="true">
      <i hidden class="hs-band" />
      <i hidden class="hs-band" />
      <i hidden class="hs-outline hs-outline-pin" />
      <i hidden class="hs-outline hs-outline-active" />
      {labelled && <b hidden />}
      {labelled && <b hidden />}
    </div>
  );
}

function placeCross(root: HTMLElement, layout: MatrixLayout, active: Cross, locked: Cross): void {
  const { gutter, side, cell } = layout;
  const [row, column, pin, here, rowName, columnName] = [...root.children] as HTMLElement[];
  const thick = Math.max(1, cell);
  const { position, source } = active;
  put(row, position !== null && [gutter, EDGE + position * cell, side, thick]);
  put(column, source !== null && [gutter + source * cell, EDGE, thick, side]);
  put(pin, boxOf(layout, locked));
  put(here, boxOf(layout, active));
  const named = position !== null || source !== null ? active : locked;
  name(rowName, layout, named.position, (at) => [gutter - 3, EDGE + at, "translate(-100%, -50%)"]);
  const turned = "rotate(-90deg) translate(-100%, -50%)";
  name(columnName, layout, named.source, (at) => [gutter + at, EDGE + side + 3, turned]);
}

function boxOf({ gutter, cell }: MatrixLayout, { position, source }: Cross): Box | false {
  if (position === null || source === null) return false;
  const size = Math.max(LEAST, cell - 1); // a cell ends with a gap
  const inset = cell > LEAST ? 0 : (cell - size) / 2;
  return [gutter + source * cell + inset, EDGE + position * cell + inset, size, size];
}

type Box = [left: number, top: number, width: number, height: number];

function put(element: HTMLElement | undefined, box: Box | false): void {
  if (!element) return;
  element.hidden = !box;
  if (!box) return;
  const [left, top, width, height] = box;
  const { style } = element;
  style.transform = `translate(${left}px, ${top}px)`;
  style.width = `${width}px`;
  style.height = `${height}px`;
}

/** A token's label on top of the permanent labels. If those are close together, it covers its neighbours entirely. */
function name(
  element: HTMLElement | undefined,
  { labels, cell, gutter, stride }: MatrixLayout,
  token: number | null,
  placeOf: (middle: number) => [left: number, top: number, turn: string],
): void {
  if (!element) return;
  element.hidden = token === null;
  if (token === null) return;
  const [left, top, turn] = placeOf((token + 0.5) * cell);
  element.textContent = labels[token] ?? "";
  element.style.minWidth = stride > 1 ? `${gutter - 3}px` : "";
  element.style.transform = `translate(${left}px, ${top}px) ${turn}`;
}
