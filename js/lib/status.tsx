// The state of the kernel's work for this view: progress, waiting, errors.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Button } from "./controls";
import { seconds } from "./format";
import { canAsk, type Failure, isBusy, type Progress, type Status, useTrait, type ViewModel } from "./model";
import type { Rpc } from "./rpc";
import { useStore } from "./store";

const STARTING: Progress = { done: 0, total: 0, seconds_left: null };
const useProgress = (model: ViewModel) => useTrait<Progress | undefined>(model, "progress") ?? STARTING;

export function progressText({ seconds_left, ...progress }: Progress): string {
  const left = seconds_left === null || seconds_left < 0.05 ? "" : ` · ${seconds(seconds_left)} left`;
  return doneText(progress) + left;
}

/** "2 of 16", or "2 of 16 and 45% of the next". */
function doneText({ done, total, within = 0 }: Omit<Progress, "seconds_left">): string {
  return within > 0
    ? `${done} of ${total} and ${Math.floor(100 * within)}% of the next`
    : `${done} of ${total}`;
}

export function ProgressBar({ model, label }: { model: ViewModel; label: string }) {
  const progress = useProgress(model);
  const done = progress.done + (progress.within ?? 0);
  const share = progress.total > 0 ? Math.min(1, done / progress.total) : 0;
  return (
    <>
      <span
        class="hs-bar"
        data-hs="progress"
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={progress.total}
        aria-valuenow={progress.done}
        aria-valuetext={progressText(progress)}
      >
        <i style={{ transform: `scaleX(${share})` }} />
      </span>
      <span data-hs="progress-text">{progress.total > 0 ? progressText(progress) : "starting"}</span>
    </>
  );
}

export function Cancel({ name = "cancel", rpc }: { name?: string; rpc: Rpc }) {
  return (
    <Button name={name} title="Stop; what is computed stays" onClick={() => rpc.request("cancel", {})}>
      Cancel
    </Button>
  );
}

export function WaitingWords({ rpc }: { rpc: Rpc }) {
  const waiting = useStore(rpc.waiting);
  return (
    <span role="status" class="hs-waiting">
      {waiting !== "no" && (
        <span data-hs="waiting">
          Waiting for the running cell to finish
          {waiting === "long" && ". If the kernel was restarted, run this cell again."}
        </span>
      )}
    </span>
  );
}

interface RunStateProps {
  model: ViewModel;
  rpc: Rpc;
  status?: Status;
  /** A word for the work that is running. */
  label: string;
  /** How many seconds the displayed result took. */
  took: number | null | undefined;
  onRun(): void;
}

/** The progress of the run, with a Cancel button while it runs and a Run button while the result is incomplete. */
export function RunState({ model, rpc, label, took, onRun, ...props }: RunStateProps) {
  const known = useTrait<Status>(model, "status");
  const { status = known } = props;
  const progress = useProgress(model);
  const waiting = useStore(rpc.waiting);
  const busy = isBusy(status);
  const asks = canAsk(model);
  return (
    <div class="hs-progress hs-small" data-hs="state" data-status={status}>
      {busy && asks && <ProgressBar model={model} label={label} />}
      {!busy && waiting === "no" && <span data-hs="summary">{summary(status, progress, took)}</span>}
      <WaitingWords rpc={rpc} />
      {asks && busy && <Cancel rpc={rpc} />}
      {asks && !busy && status !== "done" && (
        <Button name="run" title="Compute what the settings ask for" onClick={onRun}>
          Run
        </Button>
      )}
    </div>
  );
}

function summary(status: Status, progress: Progress, took: number | null | undefined): string {
  if (status === "cancelled") {
    if (progress.total === 0) return "cancelled before it began";
    // Of a unit that was cut short only the first is kept: a later one would be averaged with whole ones.
    const kept = progress.done === 0 ? progress.within : undefined;
    return `cancelled at ${doneText({ ...progress, within: kept })}`;
  }
  return status === "done" && typeof took === "number" ? `took ${seconds(took)}` : "";
}

/** The last error. With a kernel, its remedy is a button. */
export function ErrorLine({ error, rpc }: { error: Failure | null; rpc?: Rpc | null }) {
  const remedy = rpc && error?.remedy;
  return (
    <div role="alert">
      {error && (
        <p class="hs-error" data-hs="error">
          {error.message}
        </p>
      )}
      {remedy && (
        <Button
          name="remedy"
          title="Run again with this change"
          onClick={() => rpc.requestNamed(remedy.method, remedy.params)}
        >
          {remedy.label}
        </Button>
      )}
      {error?.traceback && (
        <details class="hs-traceback hs-small" data-hs="traceback">
          <summary title="Where it failed">Traceback</summary>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also for the keyboard */}
          <pre tabIndex={0}>{error.traceback}</pre>
        </details>
      )}
    </div>
  );
}

/** Warnings and notes about a result, one paragraph each. */
export function Notes({ name = "warning", notes }: { name?: string; notes: readonly string[] | undefined }) {
  return (
    <>
      {notes?.map((note) => (
        <p key={note} class="hs-quiet" data-hs={name}>
          {note}
        </p>
      ))}
    </>
  );
}

/** A sentence in place of content that can't be shown. */
export function Absent({ name = "nothing", children }: { name?: string; children: ComponentChildren }) {
  return (
    <p class="hs-nothing" data-hs={name}>
      {children}
    </p>
  );
}

interface NothingProps {
  model: ViewModel;
  busy: string;
  idle?: string;
}

/** The placeholder for a result that has not come. */
export function Nothing({ model, busy, idle }: NothingProps) {
  const status = useTrait<Status | undefined>(model, "status");
  const start = canAsk(model) ? "Not run yet: press Run." : "There is no result here: run the cell again.";
  return <Absent>{isBusy(status) ? busy : (idle ?? start)}</Absent>;
}

/** True once `flag` has been true for `ms`, so that shorter work is not announced. */
export function useLasting(flag: boolean, ms: number): boolean {
  const [lasting, setLasting] = useState(false);
  useEffect(() => {
    if (!flag) {
      setLasting(false);
      return;
    }
    const timer = setTimeout(() => setLasting(true), ms);
    return () => clearTimeout(timer);
  }, [flag, ms]);
  return flag && lasting;
}
