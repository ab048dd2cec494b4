// The PatchHeatmap view: the controls, the grid with its legend, and the pinned or hovered cell in detail.
import { useRef, useState } from "preact/hooks";
import { saveCsv } from "../../lib/clipboard";
import { Button } from "../../lib/controls";
import { Output, useCurrent } from "../../lib/current";
import { count } from "../../lib/format";
import { Head, Tools } from "../../lib/head";
import {
  canAsk,
  type Failure,
  type Status,
  select,
  useRising,
  useSelection,
  useTrait,
  type ViewModel,
} from "../../lib/model";
import { Root } from "../../lib/mount";
import type { PanelProps } from "../../lib/panel";
import { ErrorLine, Notes, Nothing } from "../../lib/status";
import { useStore } from "../../lib/store";
import { toCsv } from "../../lib/table";
import { usePalette } from "../../lib/theme";
import { useWidth } from "../../lib/use_width";
import { NO_COUNTERPART } from "../../wire/requests";
import { EstimateCheck, EstimatedLine } from "./agreement";
import { type Board, boardOf, foldable } from "./board";
import { countFaded, type Look, lookOf } from "./cells";
import { CompareLine, codeOf, type Shows, useShown } from "./compare";
import { Controls } from "./controls";
import { Detail } from "./detail";
import { allCells, fileName, savePicture, toTable } from "./export";
import { limitOf, unitsOf, useLook } from "./look";
import { Opened, SweepMap, useBoard } from "./map";
import { NarrowedLine, TimeLeft } from "./narrow";
import {
  entryOf,
  type HeatmapInfo,
  methodNames,
  metricLabel,
  OTHER_RUN,
  readParams,
  titleOf,
  useParams,
} from "./params";
import { answerFor, PickBar } from "./picks";
import { cellOf, FUTURE, placeOf, stateOf } from "./places";
import type { ResultJson, Sweep } from "./result";
import type { HeatmapState, ShownSweep, Together } from "./state";
import { captionOf, howToRead, meanOf } from "./words";

type ViewProps = PanelProps<HeatmapState>;
type SweepProps = ViewProps & { which: Shows; sweep: Sweep };

export function PatchHeatmapView({ model, state }: ViewProps) {
  const compared = useShown({ model, state });
  const { which, shown } = compared;
  const map = useStore(state.shown);
  const error = useTrait<Failure | null>(model, "error");
  useParams(model);
  const status = useTrait<Status>(model, "status");
  const { value: sweep, problem } = shown;
  const latest = map.value;
  const methods = methodNames(useTrait<HeatmapInfo>(model, "info"));
  // The kept map is what it is, whatever was asked for since.
  const current = useCurrent(model, state.rpc, latest?.json.id, methods) || which === "kept";
  const title = titleOf(sweep?.json.method);
  const subtitle = subtitleOf(model, sweep);
  return (
    <Root name="patch-heatmap" label={title}>
      <Head title={title} words={subtitle}>
        {sweep && <Exports model={model} state={state} which={which} sweep={sweep} subtitle={subtitle} />}
      </Head>
      <Controls model={model} state={state} sweep={latest} />
      <CompareLine model={model} state={state} shown={compared} />
      <NarrowedLine model={model} state={state} />
      {latest && <TimeLeft model={model} state={state} sweep={latest} />}
      <ErrorLine
        error={problem === null ? error : { message: problem }}
        rpc={canAsk(model) ? state.rpc : null}
      />
      {sweep ? (
        <Output
          name="sweep"
          current={current}
          words={`the last map, ${sweep.json.params.activation} of “${sweep.json.prompts.clean.text}”`}
        >
          <SweepView model={model} state={state} which={which} shown={shown} sweep={sweep} />
        </Output>
      ) : (
        problem === null &&
        status !== "error" && <Nothing model={model} busy={"Preparing the two runs\u2026"} />
      )}
    </Root>
  );
}

const BLUE = "; blue: this map is further towards clean";

function subtitleOf(model: ViewModel, sweep: Sweep | null): string {
  const { direction, value = OTHER_RUN } = sweep?.json.params ?? readParams(model);
  if (!sweep) return howToRead(direction, value, false);
  if (sweep.terms) return `this map minus the kept map${lookOf(sweep).scaled ? BLUE : ""}`;
  return [howToRead(direction, value, lookOf(sweep).raw), meanOf(sweep)].filter(Boolean).join(" · ");
}

function Exports({ model, state, which, sweep, subtitle }: SweepProps & { subtitle: string }) {
  const palette = usePalette();
  const rising = useRising(model);
  useTrait(model, "code");
  useTrait(model, "difference_code");
  // A saved page may show a different metric from the one in the code.
  const own = useTrait<ResultJson | null>(model, "result")?.params.metric === sweep.json.params.metric;
  const info = useTrait<HeatmapInfo>(model, "info");
  const look = lookOf(sweep, unitsOf(model), limitOf(model));
  const picture = () => {
    const hidden = state.unfolded.get() ? 0 : foldable(sweep);
    const board = boardOf(sweep, rising, state.neurons.get(), hidden);
    // The menus are not in the picture, so its title contains their settings.
    const { activation } = sweep.json.params;
    const label = metricLabel(info, sweep.json);
    const words = sweep.terms ? [label, sweep.json.scale_text] : [activation, label, subtitle];
    const below = words.filter(Boolean).join(" \u00b7 ");
    savePicture(sweep, board, look, palette, below, captionOf(sweep));
  };
  return (
    <Tools
      code={own ? codeOf(model, which) : null}
      table={() => toTable(sweep, look.raw, rising)}
      csv={() => saveCsv(toCsv(allCells(sweep)), fileName(sweep))}
      picture={picture}
      held={sweep.json}
      kernel={{ model, state }}
    />
  );
}

function SweepView({ model, state, which, shown, sweep }: SweepProps & { shown: ShownSweep }) {
  const info = useTrait<HeatmapInfo>(model, "info");
  const pinned = cellOf(sweep, useSelection(model));
  // What is asked for is always about the map itself.
  const own = which === "map";
  const asks = canAsk(model) && own;
  const pickedOfMap = useStore(state.picked);
  const picked = own ? pickedOfMap : NONE;
  const [active, setActive] = useState<number | null>(null);
  const hovered = active !== null && active < sweep.state.length ? active : null;
  // `shown` is a new object whenever cells have arrived.
  const look = useLook(model, sweep, shown);
  const opens = pinned === null || !asks ? null : entryOf(info, sweep.json.params)?.opens;
  const patched = (cell: number) => ![NO_COUNTERPART, FUTURE].includes(stateOf(sweep, cell));
  const area = useRef<HTMLDivElement>(null);
  const width = useWidth(area);
  const { board, equal } = useBoard({ model, state }, sweep, shown);
  const together = useTrait<Together | null | undefined>(model, "together");
  const opening = useRef(false);
  const pin = (cell: number | null) => {
    const place = cell === null ? null : placeOf(sweep, cell);
    const { value: latest } = state.shown.get();
    // A place that only the kept map has can't be pinned.
    if (!place || own || (latest && cellOf(latest, place) !== null)) select(model, place);
  };
  const pending = useStore(state.rpc.pending);
  const beside = fitsBeside(board, width);
  const map = (
    <div>
      <SweepMap
        state={state}
        label={titleOf(sweep.json.method)}
        sweep={sweep}
        board={board}
        equal={equal}
        look={look}
        width={beside ? width - DETAIL : width}
        revision={shown}
        pinned={pinned}
        picked={picked}
        onActive={setActive}
        onPin={pin}
        onPick={asks ? (cells) => state.picked.set(cells.filter(patched)) : null}
      />
      {own && <PickBar model={model} state={state} sweep={sweep} />}
      {own && <EstimatedLine model={model} state={state} sweep={sweep} revision={shown} />}
      <Remarks sweep={sweep} look={look} />
    </div>
  );
  return (
    <>
      <div ref={area} class="hs-map-and-detail" data-hs="map-and-detail" data-beside={beside}>
        {map}
        <div class="hs-side">
          <Detail
            sweep={sweep}
            scaled={look.scaled}
            metric={metricLabel(info, sweep.json)}
            cell={hovered ?? pinned}
            hint={asks ? ", Shift-click or drag to pick several" : ""}
            long={pinned !== null || beside}
            together={hovered === null ? answerFor(together, sweep, picked) : null}
            onAnswer={asks && !sweep.pairs ? (side, answer) => state.setAnswer(side, answer) : null}
          >
            {opens && pinned !== null && patched(pinned) && (
              <Button
                name="open"
                title="Patch its parts"
                onClick={() => {
                  opening.current = true;
                  state.open(pinned);
                }}
              >
                {pending.has("open") ? `Patching ${opens}\u2026` : `Show ${opens}`}
              </Button>
            )}
          </Detail>
          {own && <EstimateCheck model={model} state={state} sweep={sweep} revision={shown} />}
        </div>
      </div>
      {own && <Opened model={model} state={state} asked={opening} />}
    </>
  );
}

const NONE: readonly number[] = [];

/** The room for the details beside a map, and the height from which a map has them there, so that both fit on a screen. */
const DETAIL = 420;
const TALL_ROWS = 16;
const LABELS_AND_LEGEND = 160;
const COLUMN = 38;

function fitsBeside({ rows, columns, panels }: Board, width: number): boolean {
  const room = width - DETAIL - LABELS_AND_LEGEND;
  return panels.length === 0 && rows.length >= TALL_ROWS && columns.length * COLUMN <= room;
}

function Remarks({ sweep, look }: { sweep: Sweep; look: Look }) {
  const faded = sweep.pairs && look.scaled ? countFaded(sweep) : 0;
  const { warnings = [], executor, executor_reason } = sweep.json.provenance;
  return (
    <>
      {executor === "hooks" && (
        <p class="hs-quiet" data-hs="executor">
          Run with hooks, which is slower: {executor_reason?.replace(/\.$/, "")}.
        </p>
      )}
      {faded > 0 && (
        <p class="hs-quiet" data-hs="faded-cells">
          {count(faded, "cell")} of {sweep.state.length} faded: the 95% interval of the mean contains zero.
        </p>
      )}
      {sweep.terms && look.raw && (
        <p class="hs-quiet" data-hs="raw-difference">
          {look.scaled
            ? "Colours and legend are those of the effects."
            : "One of the two maps has no scale from 0 to 1, so raw values are subtracted."}
        </p>
      )}
      {!look.scaled && !sweep.terms && (
        <p class="hs-quiet" data-hs="raw">
          The clean and the corrupt run score the same, so there is no scale from 0 to 1; raw values are
          shown.
        </p>
      )}
      <Notes notes={warnings} />
    </>
  );
}
