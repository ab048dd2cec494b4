// The prompt, where the lens has one of its own: another is shown when Enter is pressed.
import { useEffect, useState } from "preact/hooks";
import { Field } from "../lib/field";
import type { LensState } from "./state";

export function Prompt({ state, text }: { state: LensState; text: string }) {
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
