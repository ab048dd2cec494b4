// The cross hairs over a matrix: bands, outlines and the tokens' labels. They are elements that are moved directly: the
// mouse moves in every frame, and a canvas as large as the matrix would be drawn and copied in every frame.
import type { RefObject } from "preact";
import { EDGE, type MatrixLayout } from "./matrix_layout";
import type { Cell } from "./pointed";

type Cross = Pick<Cell, "position" | "source">;

/** Outlines of smaller cells would not be seen. */
const LEAST = 5;

export function CrossHairs({
  root,
  labelled,
}: {
  root: RefObject<HTMLDivElement | null>;
  labelled: boolean;
}) {
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

export function placeCross(root: HTMLElement, layout: MatrixLayout, active: Cross, locked: Cross): void {
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

/** A token's label, over the permanent labels; where those are close together, it covers its neighbours entirely. */
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
