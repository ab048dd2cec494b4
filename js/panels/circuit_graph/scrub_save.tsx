// The hypothesis as JSON: copied, saved, and read from a file or from pasted text.
import { useEffect, useState } from "preact/hooks";
import { saveFile } from "../../lib/clipboard";
import { Button, CopyButton } from "../../lib/controls";
import { FileButton } from "../../lib/file_button";
import { canAsk, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import type { Outline } from "./scrubbing";
import type { CircuitState } from "./state";

/** In characters; the kernel refuses more. */
const LONGEST = 2_000_000;

interface ToolsProps extends PanelProps<CircuitState> {
  outline: Outline;
}

export function HypothesisTools({ model, state, outline }: ToolsProps) {
  const [loads, setLoads] = useState(false);
  const text = () => JSON.stringify(outline.hypothesis, null, 2);
  return (
    <>
      <span class="hs-tools">
        <CopyButton name="copy-hypothesis" title="Copy the hypothesis as JSON" text={text}>
          Copy JSON
        </CopyButton>
        <Button
          name="save-hypothesis"
          title="Save the hypothesis as a file, for ib.Hypothesis.from_json and for this view"
          quiet
          onClick={() => saveFile(text(), "hypothesis.json", "application/json")}
        >
          Save JSON
        </Button>
        {canAsk(model) && (
          <Button
            name="load-hypothesis"
            title="Read a hypothesis from a file or from text"
            quiet
            expanded={loads}
            onClick={() => setLoads(!loads)}
          >
            Load
          </Button>
        )}
      </span>
      {loads && <Load model={model} state={state} onDone={() => setLoads(false)} />}
    </>
  );
}

function Load({ model, state, onDone }: PanelProps<CircuitState> & { onDone(): void }) {
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const edges = useTrait(model, "hypothesis_edges");
  const [first] = useState({ edges });
  useEffect(() => {
    if (edges !== first.edges) onDone();
  }, [edges]);
  const load = (json: string) => {
    setText(json);
    if (json.length > LONGEST)
      setWrong("This file is no hypothesis: it is longer than two million characters.");
    else state.rpc.request("load_hypothesis", { text: json });
  };
  return (
    <div class="hs-scrub-load" data-hs="load">
      <textarea
        rows={4}
        data-hs="load-text"
        aria-label="A hypothesis as JSON"
        placeholder={'{"edges": ["m3->logits"], "agree": {"m3": "answer"}}'}
        spellcheck={false}
        value={text}
        onInput={({ currentTarget }) => setText(currentTarget.value)}
      />
      <span class="hs-controls">
        <Button
          name="load-use"
          title="Scrub this hypothesis"
          disabled={text.trim() === ""}
          onClick={() => load(text)}
        >
          Use
        </Button>
        <FileButton
          name="load-file"
          title="Read a hypothesis from a JSON file"
          accept=".json,application/json"
          longest={LONGEST}
          onText={load}
        >
          From a file
        </FileButton>
      </span>
      <div role="alert">
        {wrong !== null && (
          <p class="hs-error" data-hs="load-problem">
            {wrong}
          </p>
        )}
      </div>
    </div>
  );
}
