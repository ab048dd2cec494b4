// The PatchHeatmap view: controls, grid with its key, and what the pinned or hovered cell says.
import { useMemo, useRef, useState } from "preact/hooks";
import { Button, CopyButton } from "../lib/controls";
import { Grid } from "../lib/grid";
import { Legend } from "../lib/legend";
import { type Failure, type Selection, type Status, select, useTrait, type ViewModel } from "../lib/model";
import { Root } from "../lib/mount";
import { ErrorLine } from "../lib/status";
import { useStore } from "../lib/store";
import { usePalette } from "../lib/theme";
import { useWidth } from "../lib/use_width";
import * as cells from "./cells";
import { type HeatmapInfo, Menus, Running } from "./controls";
import { Detail } from "./detail";
import { savePicture, toTable } from "./export";
import type { Direction, Sweep } from "./result";
import { type HeatmapState, readParams, type Shown } from "./state";

interface ViewProps {
  model: ViewModel;
  state: HeatmapState;
}

const HOW_TO_READ: Record<Direction, string> = {
  denoise: "clean into corrupt; 1 = answer fully restored",
  noise: "corrupt into clean; \u22121 = answer fully destroyed",
};

/** Where there is no scale. */
const RAW: Record<Direction, string> = {
  denoise: "clean into corrupt; raw values",
  noise: "corrupt into clean; raw values",
};

export function PatchHeatmapView({ model, state }: ViewProps) {
  const shown = useStore(state.shown);
  const error = useTrait<Failure | null>(model, "error");
  const stale = useTrait<Status>(model, "status") === "error";
  const { sweep } = shown;
  const direction = sweep?.json.params.direction ?? readParams(model).direction;
  const subtitle = sweep && cells.isRaw(sweep) ? RAW[direction] : HOW_TO_READ[direction];
  const problem = shown.problem === null ? null : { field: null, message: shown.problem };
  return (
    <Root name="patch-heatmap" label="Activation patching">
      <div class="hs-head">
        <h2 class="hs-title">
          Activation patching <small>{subtitle}</small>
        </h2>
        {sweep && <Exports model={model} sweep={sweep} subtitle={subtitle} />}
      </div>
      <div class="hs-controls" data-hs="controls">
        <Menus model={model} state={state} />
        <Running model={model} state={state} sweep={sweep} />
      </div>
      <ErrorLine error={problem ?? error} />
      {stale && sweep && <p class="hs-quiet">Faded: the last map, of “{sweep.json.prompts.clean.text}”.</p>}
      {sweep ? (
        <div class={stale ? "hs-stale" : ""} data-hs="sweep" data-stale={stale}>
          <SweepView model={model} shown={shown} sweep={sweep} />
        </div>
      ) : (
        <Nothing model={model} quiet={shown.problem !== null} />
      )}
    </Root>
  );
}

function Nothing({ model, quiet }: { model: ViewModel; quiet: boolean }) {
  const status = useTrait<Status>(model, "status");
  if (quiet || status === "error") return null;
  const busy = status === "queued" || status === "running";
  return (
    <p class="hs-nothing" data-hs="nothing">
      {busy ? "Preparing the two runs\u2026" : "Not run yet."}
    </p>
  );
}

function Exports({ model, sweep, subtitle }: { model: ViewModel; sweep: Sweep; subtitle: string }) {
  const palette = usePalette();
  const flip = useTrait<string>(model, "layer_zero") !== "top";
  return (
    <span class="hs-tools">
      <CopyButton name="copy" title="Copy as a table" text={() => toTable(sweep, cells.isRaw(sweep), flip)}>
        Copy
      </CopyButton>
      <Button
        name="png"
        title="Save as a picture"
        quiet
        onClick={() => savePicture(sweep, cells.isRaw(sweep), flip, palette, subtitle)}
      >
        PNG
      </Button>
    </span>
  );
}

function SweepView({ model, shown, sweep }: { model: ViewModel; shown: Shown; sweep: Sweep }) {
  const area = useRef<HTMLDivElement>(null);
  const width = useWidth(area);
  const palette = usePalette();
  const flip = useTrait<string>(model, "layer_zero") !== "top";
  const selection = useTrait<Selection>(model, "selection");
  const [active, setActive] = useState<number | null>(null);
  const pinned = cells.selectedCell(sweep, selection);
  const rows = useMemo(() => cells.rowLabels(sweep), [sweep]);
  const columns = useMemo(() => cells.columnLabels(sweep), [sweep]);
  // `shown` is a new object whenever cells have come in.
  const raw = useMemo(() => cells.isRaw(sweep), [shown]);
  const scale = useMemo(() => cells.scaleOf(sweep, palette), [shown, palette]);
  const paint = useMemo(
    () => (index: number) => cells.paintCell(sweep, palette, scale, raw, index),
    [shown, palette, scale, raw],
  );
  const legend = raw ? 0 : legendRoom(width);
  const hovered = active !== null && active < sweep.state.length ? active : null;
  const info = useTrait<HeatmapInfo>(model, "info");
  const metric =
    info.metrics.find((entry) => entry.name === sweep.json.params.metric)?.label ?? sweep.json.params.metric;
  return (
    <>
      <div class="hs-grid-area" ref={area}>
        <Grid
          label="Activation patching"
          rows={rows}
          columns={columns}
          corner={cells.cornerOf(sweep)}
          flip={flip}
          room={width - legend}
          startColumn={cells.firstDiffering(columns)}
          paint={paint}
          describe={(index) => cells.describeCell(sweep, raw, index)}
          revision={shown}
          pinned={pinned}
          onActive={setActive}
          onPin={(index) => select(model, index === null ? null : cells.selectionOf(sweep, index))}
        />
        {!raw && (
          <Legend
            scale={scale}
            domain={cells.domainOf(sweep).domain}
            ticks={cells.legendTicks(sweep)}
            height={Math.max(72, Math.min(160, rows.length * 24 - 1))}
          />
        )}
      </div>
      <Notes sweep={sweep} raw={raw} />
      <Detail sweep={sweep} raw={raw} metric={metric} cell={hovered ?? pinned} pinned={pinned !== null} />
    </>
  );
}

/** The key's width (see grid.css) and the gap before it. */
function legendRoom(width: number): number {
  return (width > 488 ? 84 : 36) + 18 + 4;
}

function Notes({ sweep, raw }: { sweep: Sweep; raw: boolean }) {
  const warnings = sweep.json.provenance.warnings ?? [];
  return (
    <>
      {raw && (
        <p class="hs-quiet" data-hs="raw">
          The clean and the corrupt run score the same, so there is no scale from 0 to 1; raw values are
          shown.
        </p>
      )}
      {warnings.map((warning) => (
        <p key={warning} class="hs-quiet" data-hs="warning">
          {warning}
        </p>
      ))}
    </>
  );
}
