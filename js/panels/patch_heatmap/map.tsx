// A sweep as a grid with its legend: the map itself, and the map of an opened cell.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button, Menu } from "../../lib/controls";
import { Grid, type GridProps } from "../../lib/grid";
import { Legend, legendRoom } from "../../lib/legend";
import { canAsk, useRising, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { ErrorLine } from "../../lib/status";
import { useStore } from "../../lib/store";
import { usePalette } from "../../lib/theme";
import { useWidth } from "../../lib/use_width";
import { type Board, boardOf, firstDiffering, foldable } from "./board";
import { type Look, legendOf, painter } from "./cells";
import { Cell } from "./detail";
import { useLook } from "./look";
import { type HeatmapInfo, metricLabel } from "./params";
import type { Sweep } from "./result";
import { type HeatmapState, NEURONS, type ShownSweep } from "./state";
import { describeCell, openedTitle } from "./words";

/** The props of the grid that are given in cells of the sweep. */
type InCells = Pick<GridProps, "label" | "revision" | "pinned" | "picked" | "onActive" | "onPin" | "onPick">;

interface MapProps extends InCells {
  state: HeatmapState;
  sweep: Sweep;
  board: Board;
  /** How many columns are or could be folded. */
  equal: number;
  look: Look;
  /** The width for the map with its legend. */
  width: number;
}

/** The arrangement of a sweep that the view's choices ask for. */
export function useBoard({ model, state }: PanelProps<HeatmapState>, sweep: Sweep, revision: unknown) {
  const rising = useRising(model);
  const most = useStore(state.neurons);
  const unfolded = useStore(state.unfolded);
  const equal = useMemo(() => foldable(sweep), [sweep, revision]);
  const hidden = unfolded ? 0 : equal;
  // The neurons with the largest effects may change with every cell that arrives.
  const board = useMemo(
    () => boardOf(sweep, rising, most, hidden),
    [sweep, rising, most, hidden, sweep.axes.includes("neuron") && revision],
  );
  return { board, equal };
}

export function SweepMap(props: MapProps) {
  const { state, label, sweep, board, equal, look, width, revision, onPick } = props;
  const { hidden } = board;
  const shown = useMemo(() => ({}), [revision, look]);
  const palette = usePalette();
  const cellOf = (index: number) => board.cells?.[index] ?? index;
  const indexOf = (cell: number) => (board.cells ? board.cells.indexOf(cell) : cell);
  const pinned = props.pinned === null ? -1 : indexOf(props.pinned);
  const picked = useMemo(() => props.picked.map(indexOf).filter((i) => i >= 0), [props.picked, board]);
  const paint = useMemo(() => painter(sweep, board, palette, look), [sweep, revision, palette, board, look]);
  const legend = useMemo(() => legendOf(sweep, palette, look), [sweep, revision, palette, look]);
  const height = Math.min(160, Math.max(1, board.panels.length) * board.rows.length * 24 - 1);
  return (
    <div class="hs-map">
      <div class="hs-grid-area">
        <Grid
          label={label}
          shape={board}
          room={width - (look.scaled ? legendRoom(width) : 0)}
          startColumn={firstDiffering(board.columns)}
          paint={paint}
          describe={(index) => describeCell(sweep, look.raw, cellOf(index))}
          revision={shown}
          pinned={pinned < 0 ? null : pinned}
          picked={picked}
          onActive={(index) => props.onActive(index === null ? null : cellOf(index))}
          onPin={(index) => props.onPin(index === null ? null : cellOf(index))}
          onPick={onPick && ((indices) => onPick(indices.map(cellOf)))}
          onUnfold={() => state.unfolded.set(true)}
          pinFolded={props.pinned !== null && pinned < 0 && props.pinned % (sweep.shape.at(-1) ?? 1) < hidden}
        />
        {look.scaled && (
          <Legend {...legend} height={Math.max(72, height)} help={sweep.json.scale_text ?? ""} />
        )}
      </div>
      {equal > 0 && <Fold state={state} equal={equal} unfolded={hidden === 0} />}
      {sweep.axes.includes("neuron") && <NeuronChoice state={state} all={sweep.shape.at(-1) ?? 0} />}
    </div>
  );
}

interface FoldProps {
  state: HeatmapState;
  equal: number;
  unfolded: boolean;
}

function Fold({ state, equal, unfolded }: FoldProps) {
  return (
    <p class="hs-quiet" data-hs="fold-line">
      {unfolded
        ? `In the first ${equal} columns, clean and corrupt are equal.`
        : `${equal} columns are folded: there clean and corrupt are equal, so patching changes nothing.`}{" "}
      <Button
        name="fold"
        title="Equal columns"
        quiet
        expanded={unfolded}
        onClick={() => state.unfolded.set(!unfolded)}
      >
        {unfolded ? "Fold them" : "Show them"}
      </Button>
    </p>
  );
}

function NeuronChoice({ state, all }: { state: HeatmapState; all: number }) {
  const most = useStore(state.neurons);
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

interface OpenedProps extends PanelProps<HeatmapState> {
  /** Whether the user has asked this view for the parts, which are then brought into view when they come. */
  asked: { current: boolean };
}

export function Opened({ model, state, asked }: OpenedProps) {
  const shown = useStore(state.opened);
  if (shown.problem) return <ErrorLine error={{ message: shown.problem }} />;
  if (!shown.value) return null;
  return <OpenedSweep model={model} state={state} asked={asked} shown={shown} sweep={shown.value} />;
}

function OpenedSweep({
  model,
  state,
  asked,
  shown,
  sweep,
}: OpenedProps & { shown: ShownSweep; sweep: Sweep }) {
  const [active, setActive] = useState<number | null>(null);
  const [pinned, setPinned] = useState<number | null>(null);
  const area = useRef<HTMLElement>(null);
  const width = useWidth(area);
  const { board, equal } = useBoard({ model, state }, sweep, shown);
  const look = useLook(model, sweep, shown);
  const metric = metricLabel(useTrait<HeatmapInfo>(model, "info"), sweep.json);
  const inside = (cell: number | null) => (cell !== null && cell < sweep.state.length ? cell : null);
  const cell = inside(active) ?? inside(pinned);
  const title = openedTitle(sweep);
  useEffect(() => {
    if (!asked.current) return;
    asked.current = false;
    area.current?.scrollIntoView({ block: "nearest" });
  }, [sweep]);
  // The title says which cell this is, even while another cell is being opened.
  const newer = useStore(state.rpc.pending).get("open");
  const fades = newer !== undefined && newer !== sweep.json.id;
  return (
    <section ref={area} class={fades ? "hs-part hs-stale" : "hs-part"} data-hs="opened" aria-label={title}>
      <div class="hs-head">
        <h3 class="hs-title">{title}</h3>
        {canAsk(model) && (
          <span class="hs-tools">
            <Button name="close-opened" label={`Close ${title}`} quiet onClick={() => state.close()}>
              {"\u2715"}
            </Button>
          </span>
        )}
      </div>
      <SweepMap
        state={state}
        label={title}
        sweep={sweep}
        board={board}
        equal={equal}
        look={look}
        width={width}
        revision={shown}
        pinned={inside(pinned)}
        picked={NONE}
        onActive={setActive}
        onPin={setPinned}
        onPick={null}
      />
      <div class="hs-opened-cell" data-hs="opened-cell">
        <Cell sweep={sweep} scaled={look.scaled} metric={metric} cell={cell} />
      </div>
    </section>
  );
}

const NONE: readonly number[] = [];
