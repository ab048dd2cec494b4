// Templates, undo and redo, swap, and the pair as code.
import { Button, CopyButton } from "../../lib/controls";
import { useTrait, type ViewModel } from "../../lib/model";
import { useStore } from "../../lib/store";
import type { Draft } from "./draft";
import { pythonCode } from "./python";
import { type EditorInfo, type Pair, samePair, swapped } from "./types";

interface ToolbarProps {
  model: ViewModel;
  draft: Draft;
}

export function Tools({ model, draft }: ToolbarProps) {
  return (
    <span class="hs-tools">
      {!model.readonly && <Steps draft={draft} />}
      <CopyButton
        name="copy-code"
        title="Copy the Python code of this pair"
        text={() => pythonCode(draft.pair.get())}
      >
        Copy code
      </CopyButton>
    </span>
  );
}

export function Templates({ model, draft }: ToolbarProps) {
  const { templates } = useTrait<EditorInfo>(model, "info");
  if (model.readonly || templates.length === 0) return null;
  return (
    <div class="hs-controls hs-templates" role="group" aria-label="Templates" data-hs="templates">
      {templates.map(({ name, label, help, pairs }) => (
        <Button
          key={name}
          name={`template-${name}`}
          title={help ?? "Fill in an example; click again for another"}
          onClick={() => draft.replace(nextOf(pairs, draft.pair.get()))}
        >
          {label}
        </Button>
      ))}
    </div>
  );
}

function Steps({ draft }: { draft: Draft }) {
  const { undo, redo } = useStore(draft.steps);
  return (
    <>
      <Button name="undo" label="Undo" quiet disabled={!undo} onClick={() => draft.undo()}>
        {"\u21b6"}
      </Button>
      <Button name="redo" label="Redo" quiet disabled={!redo} onClick={() => draft.redo()}>
        {"\u21b7"}
      </Button>
      <Button
        name="swap"
        title="Swap clean and corrupt"
        quiet
        onClick={() => draft.replace(swapped(draft.pair.get()))}
      >
        Swap
      </Button>
    </>
  );
}

/** The pair after the current one, or the first. */
function nextOf(pairs: Pair[], pair: Pair): Pair {
  const at = pairs.findIndex((candidate) => samePair(candidate, pair));
  return pairs[(at + 1) % pairs.length] ?? pair;
}
