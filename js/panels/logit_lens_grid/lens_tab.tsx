// The lens: its grid with the legend, details of the hovered or pinned cell, and the pinned cell's tokens across the
// layers.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { AfterPaint } from "../../lib/after_paint";
import { plainLabel } from "../../lib/grid_layout";
import { Legend, legendRoom } from "../../lib/legend";
import { canAsk, select, useRising, useSelection, useTrait, type ViewModel, write } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { Notes } from "../../lib/status";
import { useStore } from "../../lib/store";
import { usePalette } from "../../lib/theme";
import { useWidth } from "../../lib/use_width";
import { Detail } from "./detail";
import { layoutLens } from "./layout";
import { LensGrid } from "./lens_grid";
import { linesOf } from "./lines";
import { colorsOf, legendOf, type Measure, needsTarget, type Scaled, scaleOf } from "./measures";
import type { Lens } from "./result";
import { type Cell, cellOf, placeOf, type Shown } from "./sides";
import type { LensState } from "./state";
import { Trajectories } from "./trajectories";
import { describeCell, layerWords } from "./words";

interface LensTabProps extends PanelProps<LensState> {
  lens: Lens;
  shown: Shown;
  scaled: Scaled | null;
}

/** The measure that colours the grid; null if it needs a followed token and there is none. */
export function useScaled(model: ViewModel, state: LensState, lens: Lens | null, shown: Shown | null) {
  const color = useTrait<Measure>(model, "color");
  const target = useStore(state.target);
  const revision = useStore(state.shown);
  return useMemo(() => {
    if (!lens || !shown) return null;
    if (needsTarget(color) && lens.json.targets.length === 0) return null;
    return scaleOf(lens, shown, color, state.targetIndex(lens));
  }, [lens, shown, color, target, revision]);
}

/** The columns that are shown: all, or the chosen columns that this prompt has. */
export function shownColumns(
  columns: readonly number[] | null,
  positions: number,
): readonly [number, number] {
  const [start = 0, stop = positions] = columns ?? [];
  const last = Math.min(stop, positions);
  return start < last && start >= 0 ? [start, last] : [0, positions];
}

export function LensTab({ model, state, lens, shown, scaled }: LensTabProps) {
  const pinned = cellOf(lens, shown, useSelection(model));
  const asks = canAsk(model);
  const [hovered, setHovered] = useState<Cell | null>(null);
  const brushed = useTrait<readonly number[] | null>(model, "columns");
  const [start, stop] = shownColumns(brushed, shown.first.positions);
  // Without a hovered or pinned cell, show the model's own prediction.
  const loaded = shown.first.loaded.subarray(0, stop).lastIndexOf(1);
  const cell = hovered ?? pinned ?? { row: lens.rows - 1, position: Math.max(start, loaded) };
  const inside = cell.row < lens.rows && cell.position < shown.first.positions;
  return (
    <>
      <LensMap {...{ model, state, lens, shown, scaled, pinned, start, stop }} onHover={setHovered} />
      <Notes name="note" notes={notesOf({ model, lens, shown, scaled })} />
      {inside && (
        <AfterPaint>
          <Detail
            {...{ lens, shown, row: cell.row, position: cell.position }}
            pinned={pinned !== null}
            onFollow={asks ? (token) => state.follow(token) : null}
          >
            {pinned && <Pinned {...{ state, lens, shown, pinned, asks }} />}
          </Detail>
        </AfterPaint>
      )}
    </>
  );
}

interface MapProps extends LensTabProps {
  pinned: Cell | null;
  start: number;
  stop: number;
  onHover(cell: Cell | null): void;
}

function LensMap({ model, state, lens, shown, scaled, pinned, start, stop, onHover }: MapProps) {
  const area = useRef<HTMLDivElement>(null);
  const width = useWidth(area);
  const palette = usePalette();
  const flip = useRising(model);
  const revision = useStore(state.shown);
  const { labels } = lens.json;
  const columns = stop - start;
  const both = shown.second !== null;
  const room = width - (scaled ? legendRoom(width) : 0);
  const layout = useMemo(
    () => layoutLens(labels, columns, room, palette.mono, { flip, both }),
    [labels, columns, room, palette.mono, flip, both],
  );
  const rowLabels = useMemo(() => labels.map((text, row) => plainLabel(text, layerWords(lens, row))), [lens]);
  const cellAt = (index: number): Cell => {
    return { row: Math.floor(index / columns), position: start + (index % columns) };
  };
  const seen = pinned !== null && pinned.position >= start && pinned.position < stop;
  const describe = useMemo(
    () => (index: number) =>
      describeCell(lens, shown, scaled, Math.floor(index / columns), start + (index % columns)),
    [lens, shown, scaled, start, columns, revision],
  );
  return (
    <div class="hs-grid-area" ref={area}>
      <LensGrid
        label="Logit lens: likeliest token by layer and position"
        {...{ lens, shown, scaled, layout, palette, rowLabels, room, revision, describe }}
        columns={[start, stop]}
        pinned={seen ? pinned.row * columns + pinned.position - start : null}
        onActive={(index) => onHover(index === null ? null : cellAt(index))}
        onPin={(index) => select(model, index === null ? null : placeOf(lens, shown, cellAt(index)))}
        onColumns={(chosen) => write(model, "columns", [...chosen])}
        onSeen={(first, last) => !model.readonly && state.windows.need(lens, shown, first, last)}
      />
      {scaled && (
        <Legend
          {...legendOf(lens, scaled, palette)}
          scale={colorsOf(scaled, palette)}
          height={Math.max(72, Math.min(160, layout.rows * layout.cellHeight - 1))}
        />
      )}
    </div>
  );
}

function notesOf({ model, lens, shown, scaled }: Omit<LensTabProps, "state">): string[] {
  const notes = [
    !scaled && "Follow a token to colour the grid by it.",
    shown.second && shown.partners?.includes(null) && "Hatched: no counterpart in the corrupt prompt.",
    model.readonly &&
      shown.first.loaded.includes(0) &&
      "Empty columns were not loaded when this was saved: scroll over them before saving.",
    ...(lens.json.warnings ?? []),
  ];
  return notes.filter((note) => typeof note === "string");
}

type PinnedProps = Pick<LensTabProps, "state" | "lens" | "shown"> & { pinned: Cell; asks: boolean };

function Pinned({ state, lens, shown, pinned, asks }: PinnedProps) {
  const revision = useStore(state.shown);
  useStore(state.lines.revision);
  const { row, position } = pinned;
  useEffect(() => {
    if (asks) state.lines.want(lens, shown, row, position);
  }, [lens, shown, row, position, asks, revision]);
  const lines = linesOf(state.lines, lens, shown, row, position);
  return <Trajectories lines={lines} labels={lens.json.labels} row={row} title={`position ${position}`} />;
}
