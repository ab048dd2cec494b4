// A sweep as a grid with its legend: the map itself, and the map of an opened cell.
import { useMemo, useRef } from "preact/hooks";
import { Menu } from "../../lib/controls";
import { Grid } from "../../lib/grid";
import { Legend, legendRoom } from "../../lib/legend";
import { useRising, type ViewModel } from "../../lib/model";
import { useStore } from "../../lib/store";
import { usePalette } from "../../lib/theme";
import { useWidth } from "../../lib/use_width";
import { boardOf, firstDiffering } from "./board";
import { legendOf, painter } from "./cells";
import type { Sweep } from "./result";
import { type HeatmapState, NEURONS } from "./state";
import { describeCell } from "./words";

interface MapProps {
  model: ViewModel;
  state: HeatmapState;
  label: string;
  sweep: Sweep;
  raw: boolean;
  /** Anything that changes when cells have changed. */
  revision: unknown;
  pinned: number | null;
  picked: readonly number[];
  onActive(cell: number | null): void;
  onPin(cell: number | null): void;
  onPick: ((cells: number[]) => void) | null;
}

export function SweepMap(props: MapProps) {
  const { model, state, label, sweep, raw, revision, onPick } = props;
  const area = useRef<HTMLDivElement>(null);
  const width = useWidth(area);
  const palette = usePalette();
  const rising = useRising(model);
  const most = useStore(state.neurons);
  // Which neurons have the largest effects may change with every cell.
  const board = useMemo(
    () => boardOf(sweep, rising, most),
    [sweep, rising, most, sweep.axes.includes("neuron") && revision],
  );
  const cellOf = (index: number) => board.cells?.[index] ?? index;
  const indexOf = (cell: number) => (board.cells ? board.cells.indexOf(cell) : cell);
  const pinned = props.pinned === null ? -1 : indexOf(props.pinned);
  const picked = useMemo(() => props.picked.map(indexOf).filter((i) => i >= 0), [props.picked, board]);
  const paint = useMemo(() => painter(sweep, board, palette, raw), [sweep, revision, palette, board, raw]);
  const legend = useMemo(() => legendOf(sweep, palette), [sweep, revision, palette]);
  const height = Math.min(160, Math.max(1, board.panels.length) * board.rows.length * 24 - 1);
  return (
    <>
      <div class="hs-grid-area" ref={area}>
        <Grid
          label={label}
          shape={board}
          room={width - (raw ? 0 : legendRoom(width))}
          startColumn={firstDiffering(board.columns)}
          paint={paint}
          describe={(index) => describeCell(sweep, raw, cellOf(index))}
          revision={revision}
          pinned={pinned < 0 ? null : pinned}
          picked={picked}
          onActive={(index) => props.onActive(index === null ? null : cellOf(index))}
          onPin={(index) => props.onPin(index === null ? null : cellOf(index))}
          onPick={onPick && ((indices) => onPick(indices.map(cellOf)))}
        />
        {!raw && <Legend {...legend} height={Math.max(72, height)} help={sweep.json.scale_text ?? ""} />}
      </div>
      {board.cells && <NeuronChoice state={state} most={most} all={sweep.shape.at(-1) ?? 0} />}
    </>
  );
}

function NeuronChoice({ state, most, all }: { state: HeatmapState; most: number; all: number }) {
  return (
    <p class="hs-quiet hs-neurons" data-hs="neurons-line">
      <Menu
        name="neurons"
        label="Neurons shown"
        choices={NEURONS.map((n) => ({ label: String(n) }))}
        chosen={NEURONS.indexOf(most)}
        shown={String(most)}
        onChoose={(index) => state.neurons.set(NEURONS[index] ?? most)}
      />
      of {all} neurons, largest effects
    </p>
  );
}
