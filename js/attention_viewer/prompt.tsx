// The prompt, where the view has one of its own: another is shown when Enter is pressed.
import { useEffect, useState } from "preact/hooks";
import { Button } from "../lib/controls";
import { Field } from "../lib/field";
import type { AttentionState } from "./state";

export function Prompt({ state, text }: { state: AttentionState; text: string }) {
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  return (
    <div class="hs-prompt" data-hs="prompt">
      <Field
        name="prompt"
        label="Prompt; Enter reads it"
        value={typed}
        readonly={false}
        problem={undefined}
        onType={setTyped}
        onEnter={() => typed !== text && state.showPrompt(typed)}
      />
    </div>
  );
}

/** A prompt that is longer than the context: the sentence says how much of its end can be read. */
export function Shorter({ state, message }: { state: AttentionState; message: string }) {
  const last = Number(/\blast=(\d+)\.$/.exec(message)?.[1] ?? 0);
  if (last === 0) return null;
  return (
    <Button name="read-last" onClick={() => state.run({ last })}>
      Read the last {last} tokens
    </Button>
  );
}
