// The PatchHeatmap view: controls, grid with its key, and what the pinned or hovered cell says.
import { useMemo, useState } from "preact/hooks";
import { Button, CopyButton } from "../../lib/controls";
import { type Failure, type Selection, type Status, select, useTrait, type ViewModel } from "../../lib/model";
import { Root } from "../../lib/mount";
import { ErrorLine } from "../../lib/status";
import { useStore } from "../../lib/store";
import { usePalette } from "../../lib/theme";
import { boardOf } from "./board";
import { isRaw } from "./cells";
import { Menus, Running } from "./controls";
import { Detail } from "./detail";
import { savePicture, toTable } from "./export";
import { SweepMap } from "./map";
import { Opened } from "./opened";
import { entryOf, type HeatmapInfo, isOf, metricLabel, OTHER_RUN, readParams, useParams } from "./params";
import { PickBar } from "./picks";
import { FUTURE, selectedCell, selectionOf, stateOf } from "./places";
import { ALONE, type ResultJson, type Sweep } from "./result";
import type { HeatmapState, Shown } from "./state";
import { howToRead, meanOf } from "./words";

const TITLE = "Activation patching";

interface ViewProps {
  model: ViewModel;
  state: HeatmapState;
}

export function PatchHeatmapView({ model, state }: ViewProps) {
  const shown = useStore(state.shown);
  const error = useTrait<Failure | null>(model, "error");
  const status = useTrait<Status>(model, "status");
  const params = useParams(model);
  const { sweep } = shown;
  // A sweep that ended before its first step has left the map of the one before it.
  const left = status === "cancelled" && sweep !== null && !isOf(sweep.json.params, params);
  const stale = status === "error" || left;
  const subtitle = subtitleOf(model, sweep);
  const problem = shown.problem === null ? null : { field: null, message: shown.problem };
  return (
    <Root name="patch-heatmap" label={TITLE}>
      <div class="hs-head">
        <h2 class="hs-title">
          {TITLE} <small data-hs="subtitle">{subtitle}</small>
        </h2>
        {sweep && <Exports model={model} state={state} sweep={sweep} subtitle={subtitle} />}
      </div>
      <div class="hs-controls" data-hs="controls">
        <Menus model={model} state={state} sweep={sweep} />
        <Running model={model} state={state} sweep={sweep} />
      </div>
      <ErrorLine error={problem ?? error} />
      {stale && sweep && (
        <p class="hs-quiet" data-hs="faded">
          Faded: the last map, {sweep.json.params.activation} of “{sweep.json.prompts.clean.text}”.
        </p>
      )}
      {sweep ? (
        <div class={stale ? "hs-stale" : ""} data-hs="sweep" data-stale={stale}>
          <SweepView model={model} state={state} shown={shown} sweep={sweep} />
        </div>
      ) : (
        <Nothing model={model} quiet={shown.problem !== null} />
      )}
    </Root>
  );
}

function subtitleOf(model: ViewModel, sweep: Sweep | null): string {
  const { direction, value = OTHER_RUN } = sweep?.json.params ?? readParams(model);
  if (!sweep) return howToRead(direction, value, false);
  return [howToRead(direction, value, isRaw(sweep)), meanOf(sweep)].filter(Boolean).join(" · ");
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

function Exports({ model, state, sweep, subtitle }: ViewProps & { sweep: Sweep; subtitle: string }) {
  const palette = usePalette();
  const rising = useTrait<string>(model, "layer_zero") !== "top";
  const code = useTrait<string | undefined>(model, "code");
  // On a page another metric may be shown than the one that the code is of.
  const own = useTrait<ResultJson | null>(model, "result")?.params.metric === sweep.json.params.metric;
  const info = useTrait<HeatmapInfo>(model, "info");
  const picture = () => {
    const board = boardOf(sweep, rising, state.neurons.get());
    // Without the menus it says itself what it is of.
    const { activation } = sweep.json.params;
    const words = [activation, metricLabel(info, sweep.json), subtitle].join(" \u00b7 ");
    savePicture(sweep, board, isRaw(sweep), palette, words);
  };
  return (
    <span class="hs-tools">
      {code && own && (
        <CopyButton name="copy-code" title="Copy the Python code of what is shown" text={() => code}>
          Copy code
        </CopyButton>
      )}
      <CopyButton name="copy" title="Copy as a table" text={() => toTable(sweep, isRaw(sweep), rising)}>
        Copy
      </CopyButton>
      <Button name="png" title="Save as a picture" quiet onClick={picture}>
        PNG
      </Button>
    </span>
  );
}

function SweepView({ model, state, shown, sweep }: ViewProps & { shown: Shown; sweep: Sweep }) {
  const info = useTrait<HeatmapInfo>(model, "info");
  const pinned = selectedCell(sweep, useTrait<Selection>(model, "selection"));
  const picked = useStore(state.picked);
  const [active, setActive] = useState<number | null>(null);
  const hovered = active !== null && active < sweep.state.length ? active : null;
  // `shown` is a new object whenever cells have come in.
  const raw = useMemo(() => isRaw(sweep), [shown]);
  const opens = pinned === null || model.readonly ? null : entryOf(info, sweep.json.params)?.opens;
  const patched = (cell: number) => ![ALONE, FUTURE].includes(stateOf(sweep, cell));
  return (
    <>
      <SweepMap
        model={model}
        state={state}
        label={TITLE}
        sweep={sweep}
        raw={raw}
        revision={shown}
        pinned={pinned}
        picked={picked}
        onActive={setActive}
        onPin={(cell) => select(model, cell === null ? null : selectionOf(sweep, cell))}
        onPick={model.readonly ? null : (cells) => state.picked.set(cells.filter(patched))}
      />
      <PickBar model={model} state={state} sweep={sweep} />
      <Notes sweep={sweep} raw={raw} />
      <Detail
        sweep={sweep}
        raw={raw}
        metric={metricLabel(info, sweep.json)}
        cell={hovered ?? pinned}
        hint={model.readonly ? "" : ", Shift-click or drag to pick several"}
        pinned={pinned !== null}
      >
        {opens && pinned !== null && patched(pinned) && (
          <Button name="open" onClick={() => state.open(pinned)}>
            Show {opens}
          </Button>
        )}
      </Detail>
      <Opened model={model} state={state} />
    </>
  );
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
