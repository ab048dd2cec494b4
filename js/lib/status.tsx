// What the kernel is doing for this view: progress, waiting, errors.
import { useEffect, useState } from "preact/hooks";
import { Button } from "./controls";
import { seconds } from "./format";
import { canAsk, type Failure, type Progress, type Status, type ViewModel } from "./model";
import type { Rpc, Waiting } from "./rpc";

export function progressText({ done, total, seconds_left }: Progress): string {
  const left = seconds_left === null || seconds_left < 0.05 ? "" : ` · ${seconds(seconds_left)} left`;
  return `${done} of ${total}${left}`;
}

export function ProgressBar({ progress, label }: { progress: Progress; label: string }) {
  const share = progress.total > 0 ? Math.min(1, progress.done / progress.total) : 0;
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

export function WaitingWords({ waiting }: { waiting: Waiting }) {
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
  status: Status;
  progress: Progress;
  waiting: Waiting;
  /** What runs, in a word. */
  label: string;
  /** How many seconds the result that is shown took. */
  took: number | null | undefined;
  onRun(): void;
  onCancel(): void;
}

/** How far the kernel is, with a Cancel while it runs and a Run while there is no whole result. */
export function RunState({ model, status, progress, waiting, label, took, onRun, onCancel }: RunStateProps) {
  const busy = status === "queued" || status === "running";
  const asks = canAsk(model);
  return (
    <div class="hs-progress" data-hs="state" data-status={status}>
      {busy && asks && <ProgressBar progress={progress} label={label} />}
      {!busy && waiting === "no" && <span data-hs="summary">{summary(status, progress, took)}</span>}
      <WaitingWords waiting={waiting} />
      {asks && status !== "done" && (
        <Button name={busy ? "cancel" : "run"} onClick={busy ? onCancel : onRun}>
          {busy ? "Cancel" : "Run"}
        </Button>
      )}
    </div>
  );
}

function summary(status: Status, { done, total }: Progress, took: number | null | undefined): string {
  if (status === "cancelled") return `cancelled at ${done} of ${total}`;
  return status === "done" && typeof took === "number" ? `took ${seconds(took)}` : "";
}

/** What went wrong. With a kernel its remedy is a button. */
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
        <Button name="remedy" onClick={() => rpc.requestNamed(remedy.method, remedy.params)}>
          {remedy.label}
        </Button>
      )}
      {error?.traceback && (
        <details class="hs-traceback" data-hs="traceback">
          <summary>Traceback</summary>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also for the keyboard */}
          <pre tabIndex={0}>{error.traceback}</pre>
        </details>
      )}
    </div>
  );
}

/** True once `flag` has been true for `ms`: what is over sooner need not be announced. */
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
