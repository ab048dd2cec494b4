// A sweep as a grid with its legend: the map itself, and the map of an opened cell.
import { useMemo, useRef, useState } from "preact/hooks";
import { Button, Menu } from "../../lib/controls";
import { Grid, type GridProps } from "../../lib/grid";
import { Legend, legendRoom } from "../../lib/legend";
import { canAsk, useRising, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { ErrorLine } from "../../lib/status";
import { useStore } from "../../lib/store";
import { usePalette } from "../../lib/theme";
import { useWidth } from "../../lib/use_width";
import { boardOf, firstDiffering } from "./board";
import { isRaw, legendOf, painter } from "./cells";
import { Cell } from "./detail";
import { type HeatmapInfo, metricLabel } from "./params";
import type { Sweep } from "./result";
import { type HeatmapState, NEURONS, type ShownSweep } from "./state";
import { describeCell, openedTitle } from "./words";

/** The props of the grid that are given in cells of the sweep. */
type InCells = Pick<GridProps, "label" | "revision" | "pinned" | "picked" | "onActive" | "onPin" | "onPick">;

interface MapProps extends PanelProps<HeatmapState>, InCells {
  sweep: Sweep;
  raw: boolean;
}

export function SweepMap(props: MapProps) {
  const { model, state, label, sweep, raw, revision, onPick } = props;
  const area = useRef<HTMLDivElement>(null);
  const width = useWidth(area);
  const palette = usePalette();
  const rising = useRising(model);
  const most = useStore(state.neurons);
  // The neurons with the largest effects may change with every cell that arrives.
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

type OpenedProps = PanelProps<HeatmapState>;

export function Opened({ model, state }: OpenedProps) {
  const shown = useStore(state.opened);
  if (shown.problem) return <ErrorLine error={{ message: shown.problem }} />;
  if (!shown.value) return null;
  return <OpenedSweep model={model} state={state} shown={shown} sweep={shown.value} />;
}

function OpenedSweep({ model, state, shown, sweep }: OpenedProps & { shown: ShownSweep; sweep: Sweep }) {
  const [active, setActive] = useState<number | null>(null);
  const [pinned, setPinned] = useState<number | null>(null);
  const raw = useMemo(() => isRaw(sweep), [sweep]);
  const metric = metricLabel(useTrait<HeatmapInfo>(model, "info"), sweep.json);
  const inside = (cell: number | null) => (cell !== null && cell < sweep.state.length ? cell : null);
  const cell = inside(active) ?? inside(pinned);
  const title = openedTitle(sweep);
  // The title says which cell this is, even while another cell is being opened.
  const newer = useStore(state.rpc.pending).get("open");
  const fades = newer !== undefined && newer !== sweep.json.id;
  return (
    <section class={fades ? "hs-part hs-stale" : "hs-part"} data-hs="opened" aria-label={title}>
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
        model={model}
        state={state}
        label={title}
        sweep={sweep}
        raw={raw}
        revision={shown}
        pinned={inside(pinned)}
        picked={NONE}
        onActive={setActive}
        onPin={setPinned}
        onPick={null}
      />
      <div class="hs-opened-cell" data-hs="opened-cell">
        <Cell sweep={sweep} raw={raw} metric={metric} cell={cell} />
      </div>
    </section>
  );
}

const NONE: readonly number[] = [];
