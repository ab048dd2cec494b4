// The workbench: its toolbar, the card of the pinned place, and the views in two columns, or as tabs where there is
// little room.
import { useEffect, useRef, useState } from "preact/hooks";
import { saveFile } from "../lib/clipboard";
import { Button, type Choice, Menu } from "../lib/controls";
import { useFileAnswer } from "../lib/file_answer";
import { keyHandler } from "../lib/keys";
import { type Failure, useTrait, type ViewModel, write } from "../lib/model";
import { Root } from "../lib/mount";
import type { PanelProps } from "../lib/panel";
import type { Rpc } from "../lib/rpc";
import { ErrorLine } from "../lib/status";
import { Tabs } from "../lib/tabs";
import { useWidth } from "../lib/use_width";
import { PlaceCard } from "./card";
import { Record, type Step } from "./record";
import type { Host, WorkbenchState } from "./state";

type Props = PanelProps<WorkbenchState>;

interface Info {
  model: { name: string; n_layers: number; n_heads: number; weights?: string; device: string };
  kinds: (Choice & { name: string })[];
}

/** Where views stand side by side. */
const WIDE = 840;

export function WorkbenchView({ model, state }: Props) {
  return (
    <Root name="workbench" label="Workbench" onKeyDown={model.readonly ? undefined : undoKeys(state.rpc)}>
      <Inside model={model} state={state} />
    </Root>
  );
}

/** Ctrl+Z and Ctrl+Shift+Z, except where they undo typing. */
function undoKeys(rpc: Rpc) {
  return (event: KeyboardEvent): void => {
    const typing = (event.target as Element).matches("input, textarea");
    if (typing || event.altKey || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z")
      return;
    rpc.request(event.shiftKey ? "redo" : "undo", {});
    event.preventDefault();
    event.stopPropagation();
  };
}

function Inside({ model, state }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const error = useTrait<Failure | null>(model, "error");
  const [recorded, setRecorded] = useState(false);
  return (
    <div ref={box}>
      <Toolbar model={model} state={state} recorded={recorded} onRecorded={setRecorded} />
      <ErrorLine error={error} rpc={state.rpc} />
      {recorded && <Record model={model} state={state} />}
      <PlaceCard model={model} />
      {state.host === null ? (
        <p class="hs-nothing" data-hs="no-host">
          This notebook can't show views inside a view. Show them in cells of their own, linked by hs.link.
        </p>
      ) : width < WIDE ? (
        <AsTabs model={model} state={state} />
      ) : (
        <SideBySide model={model} state={state} width={width} />
      )}
    </div>
  );
}

interface ToolbarProps extends Props {
  recorded: boolean;
  onRecorded(shown: boolean): void;
}

function Toolbar({ model, state, recorded, onRecorded }: ToolbarProps) {
  const { model: about, kinds } = useTrait<Info>(model, "info");
  const expect = useFileAnswer(state.rpc, ({ text }) => saveFile(String(text), "report.html", "text/html"));
  const file = () => expect(state.rpc.request("save_report", {}));
  return (
    <div class="hs-head hs-bench-head">
      <h2 class="hs-title">
        Workbench{" "}
        <small>{`${about.name} \u00b7 ${about.n_layers} layers \u00b7 ${about.n_heads} heads \u00b7 ${about.device}`}</small>
      </h2>
      {!model.readonly && (
        <span class="hs-tools">
          <Undo model={model} state={state} />
          <Button
            name="record-toggle"
            title="What was done, snapshots and notes"
            quiet
            expanded={recorded}
            onClick={() => onRecorded(!recorded)}
          >
            History
          </Button>
          <Menu
            name="add-view"
            label="Add a view of this pair"
            choices={kinds}
            chosen={-1}
            shown="Add"
            onChoose={(index) => {
              const kind = kinds[index]?.name;
              if (kind) state.rpc.requestNamed("add_view", { kind });
            }}
          />
          <Button name="report" title="Save all views as one page that opens anywhere" quiet onClick={file}>
            Save report
          </Button>
        </span>
      )}
    </div>
  );
}

function Undo({ model, state: { rpc } }: Props) {
  const steps = useTrait<Step[]>(model, "steps");
  const at = useTrait<number>(model, "at");
  const next = steps[at + 1];
  return (
    <>
      <Button
        name="undo-step"
        title={at > 0 ? `Undo: ${steps[at]?.words} (Ctrl+Z)` : "Nothing to undo"}
        quiet
        disabled={at === 0}
        onClick={() => rpc.request("undo", {})}
      >
        Undo
      </Button>
      <Button
        name="redo-step"
        title={next ? `Redo: ${next.words} (Ctrl+Shift+Z)` : "Nothing to redo"}
        quiet
        disabled={!next}
        onClick={() => rpc.request("redo", {})}
      >
        Redo
      </Button>
    </>
  );
}

function AsTabs({ model, state }: Props) {
  const panels = useTrait<string[]>(model, "panels");
  const names = useTrait<string[]>(model, "names");
  const [open, setOpen] = useState("0");
  const at = Math.min(Number(open), panels.length - 1);
  const tabs = names.map((label, i) => ({ name: String(i), label, title: label }));
  return (
    <Tabs label="Views" tabs={tabs} chosen={String(at)} onChoose={setOpen}>
      <Slot key={panels[at]} model={model} state={state} at={at} alone />
    </Tabs>
  );
}

/** The editor on top, the others in two columns whose widths can be changed, each below the last of its column. */
function SideBySide({ model, state, width }: Props & { width: number }) {
  const panels = useTrait<string[]>(model, "panels");
  const enlarged = useTrait<number | null>(model, "enlarged");
  const split = useTrait<number>(model, "split");
  const [dragged, setDragged] = useState<number | null>(null);
  const share = dragged ?? split;
  if (enlarged !== null)
    return <Slot key={panels[enlarged]} model={model} state={state} at={enlarged} alone={false} />;
  const columns = state.columnsOf(panels.slice(1));
  const inColumn = (column: number) => columns.flatMap((one, i) => (one === column ? [i + 1] : []));
  return (
    <>
      <Slot key={panels[0]} model={model} state={state} at={0} alone={false} />
      <div class="hs-bench" style={{ gridTemplateColumns: `${share}fr 9px ${1 - share}fr` }}>
        {[0, 1].map((column) => (
          <div key={column} class="hs-bench-column" style={{ gridColumn: column === 0 ? "1" : "3" }}>
            {inColumn(column).map((i) => (
              <Slot key={panels[i]} model={model} state={state} at={i} alone={false} />
            ))}
          </div>
        ))}
        <Divider
          share={share}
          width={width}
          onDrag={setDragged}
          onSet={(value) => setSplit(model, value, setDragged)}
        />
      </div>
    </>
  );
}

function setSplit(model: ViewModel, value: number, setDragged: (value: null) => void): void {
  write(model, "split", within(value));
  setDragged(null);
}

const within = (share: number) => Math.min(0.75, Math.max(0.25, share));

interface DividerProps {
  share: number;
  width: number;
  onDrag(share: number): void;
  onSet(share: number): void;
}

function Divider({ share, width, onDrag, onSet }: DividerProps) {
  const start = useRef<{ x: number; share: number } | null>(null);
  const at = (event: PointerEvent) => {
    const from = start.current;
    return within(from ? from.share + (event.clientX - from.x) / width : share);
  };
  return (
    <div
      class="hs-divider hs-focusable"
      role="separator"
      aria-orientation="vertical"
      aria-label="Width of the columns: arrow keys change it"
      aria-valuemin={25}
      aria-valuemax={75}
      aria-valuenow={Math.round(100 * share)}
      title="Drag to change the width of the columns"
      tabIndex={0}
      data-hs="divider"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        start.current = { x: event.clientX, share };
      }}
      onPointerMove={(event) => start.current && onDrag(at(event))}
      onPointerUp={(event) => {
        onSet(at(event));
        start.current = null;
      }}
      onKeyDown={keyHandler(({ key }) => {
        const by = { ArrowLeft: -0.05, ArrowRight: 0.05 }[key];
        if (by) onSet(within(share + by));
        return by !== undefined;
      })}
    />
  );
}

interface SlotProps extends Props {
  at: number;
  /** Whether no other view is shown beside it. */
  alone: boolean;
}

/** One view, with what can be done with it. */
function Slot({ model, state, at, alone }: SlotProps) {
  const refs = useTrait<string[]>(model, "panels");
  const names = useTrait<string[]>(model, "names");
  const enlarged = useTrait<number | null>(model, "enlarged");
  const name = names[at] ?? "View";
  const ref = refs[at];
  return (
    <section class="hs-slot" aria-label={name} data-hs="slot" data-at={at}>
      {!model.readonly && (
        <span class="hs-slot-tools">
          {!alone && (
            <Button
              name="enlarge"
              label={enlarged === at ? "Show all views" : `Enlarge ${name}`}
              quiet
              onClick={() => write(model, "enlarged", enlarged === at ? null : at)}
            >
              {enlarged === at ? "Back to all" : "Enlarge"}
            </Button>
          )}
          {at > 0 && (
            <>
              <Button
                name="double"
                label={`Double ${name}, to compare another choice with it`}
                quiet
                onClick={() => state.rpc.request("double_view", { at })}
              >
                Double
              </Button>
              <Button
                name="close"
                label={`Close ${name}`}
                quiet
                onClick={() => state.rpc.request("close_view", { at })}
              >
                Close
              </Button>
            </>
          )}
        </span>
      )}
      {ref && state.host && <Child host={state.host} reference={ref} />}
    </section>
  );
}

/** The view of another widget. */
function Child({ host, reference }: { host: Host; reference: string }) {
  const el = useRef<HTMLDivElement>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    host
      .getWidget(reference)
      .then((child) => {
        if (el.current && !signal.aborted) return child.render({ el: el.current, signal });
      })
      .catch((error) => setProblem(error instanceof Error ? error.message : String(error)));
    return () => controller.abort();
  }, [host, reference]);
  return (
    <>
      {problem && <p class="hs-error">{`This view can't be shown: ${problem}`}</p>}
      <div ref={el} />
    </>
  );
}
