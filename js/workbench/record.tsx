// What was done: steps to go back to, kept states, notes, and all of it as commands or as code.
import { useEffect, useRef, useState } from "preact/hooks";
import { Button, useCopied } from "../lib/controls";
import { useFileAnswer } from "../lib/file_answer";
import { useTrait, type ViewModel, write } from "../lib/model";
import type { PanelProps } from "../lib/panel";
import { type Prose, ProseText } from "../lib/prose";
import type { Rpc } from "../lib/rpc";
import type { WorkbenchState } from "./state";

type Props = PanelProps<WorkbenchState>;

export interface Step {
  /** The view in which it was done; empty for the workbench itself. */
  view: string;
  words: string;
  /** Seconds since 1970. */
  time: number;
}

export function Record({ model, state }: Props) {
  return (
    <div class="hs-record" data-hs="record">
      <Steps model={model} state={state} />
      <Snapshots model={model} state={state} />
      <Notes model={model} />
    </div>
  );
}

function Steps({ model, state: { rpc } }: Props) {
  const steps = useTrait<Step[]>(model, "steps");
  const at = useTrait<number>(model, "at");
  const list = useRef<HTMLOListElement>(null);
  useEffect(() => {
    const [box, step] = [list.current, list.current?.children[at] as HTMLElement | undefined];
    // Within the list alone: the page stays where it is.
    if (box && step)
      box.scrollTop = step.offsetTop - box.offsetTop - (box.clientHeight - step.offsetHeight) / 2;
  }, [at, steps]);
  return (
    <section aria-label="Steps">
      <h3 class="hs-record-title">Steps</h3>
      <ol class="hs-steps" data-hs="steps" ref={list}>
        {steps.map(({ view, words, time }, i) => (
          <li key={`${i} ${time}`}>
            <button
              type="button"
              class={i > at ? "hs-step hs-step-undone" : "hs-step"}
              aria-current={i === at ? "step" : undefined}
              title={i > at ? "Show this state again" : "Go back to the state after this step"}
              onClick={() => rpc.request("go_to", { step: i })}
            >
              <span class="hs-step-time">{clock(time)}</span>
              <span class="hs-step-words">
                {view && <b>{`${view}: `}</b>}
                {words}
              </span>
            </button>
          </li>
        ))}
      </ol>
      <p class="hs-record-tools">
        <CopyScript rpc={rpc} form="commands" title="For workbench.replay, and for hookscope run in a shell">
          Copy commands
        </CopyScript>
        <CopyScript rpc={rpc} form="interp_backend" title="All that was computed, as a script">
          Copy as Python
        </CopyScript>
        <CopyScript
          rpc={rpc}
          form="transformerlens"
          title="All that was computed, as a script over TransformerLens alone"
        >
          Copy over TransformerLens
        </CopyScript>
      </p>
    </section>
  );
}

interface CopyScriptProps {
  rpc: Rpc;
  form: "commands" | "interp_backend" | "transformerlens";
  title: string;
  children: string;
}

/** Copies what the kernel answers. */
function CopyScript({ rpc, form, title, children }: CopyScriptProps) {
  const [copied, copy] = useCopied();
  const expect = useFileAnswer(rpc, ({ text }) => copy(String(text)));
  return (
    <Button name={`copy-${form}`} title={title} quiet onClick={() => expect(rpc.request("script", { form }))}>
      {copied ? "Copied" : children}
    </Button>
  );
}

function Snapshots({ model, state: { rpc } }: Props) {
  const names = useTrait<string[]>(model, "snapshots");
  const [typed, setTyped] = useState("");
  const keep = () => {
    if (typed.trim()) rpc.request("snapshot", { name: typed.trim() });
    setTyped("");
  };
  return (
    <section aria-label="Snapshots">
      <h3 class="hs-record-title">Snapshots</h3>
      <form
        class="hs-keep"
        onSubmit={(event) => {
          event.preventDefault();
          keep();
        }}
      >
        <label class="hs-small-field" title="The pair, all choices and the pinned place are kept">
          <input
            type="text"
            data-hs="input-snapshot"
            aria-label="Name of a snapshot"
            placeholder="Keep this state as…"
            maxLength={100}
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        <Button
          name="keep"
          title="Keep the pair, all choices and the pinned place under this name"
          disabled={!typed.trim()}
          onClick={keep}
        >
          Keep
        </Button>
      </form>
      {names.length === 0 ? (
        <p class="hs-muted hs-small">
          A kept state comes back with one click, however much is done after it.
        </p>
      ) : (
        <ul class="hs-kept" data-hs="snapshots">
          {names.map((name) => (
            <li key={name}>
              <Button
                name="restore"
                title="Show this state again"
                quiet
                onClick={() => rpc.request("restore", { name })}
              >
                {name}
              </Button>
              <Button
                name="forget"
                label={`Drop the snapshot ${name}`}
                quiet
                onClick={() => rpc.request("forget", { name })}
              >
                ×
              </Button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Notes({ model }: { model: ViewModel }) {
  const notes = useTrait<string>(model, "notes");
  const prose = useTrait<Prose[]>(model, "prose");
  return (
    <section aria-label="Notes">
      <h3 class="hs-record-title">Notes</h3>
      <textarea
        class="hs-notes"
        data-hs="input-notes"
        title="Notes in Markdown, with which a report begins"
        aria-label="Notes in Markdown"
        placeholder="What you see, in Markdown"
        rows={4}
        maxLength={20_000}
        value={notes}
        onKeyDown={(event) => event.stopPropagation()}
        onInput={(event) => write(model, "notes", event.currentTarget.value)}
      />
      {prose.length > 0 && (
        <div data-hs="prose" role="group" aria-label="Notes, as they will be shown">
          <ProseText parts={prose} />
        </div>
      )}
    </section>
  );
}

function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
