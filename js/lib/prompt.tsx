// The prompt of a view that has one of its own.
import { useEffect, useState } from "preact/hooks";
import { Field } from "./field";

/** Another prompt is shown when Enter is pressed. */
export function Prompt({ text, onShow }: { text: string; onShow(text: string): void }) {
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  return (
    <div class="hs-prompt" data-hs="prompt">
      <Field
        name="prompt"
        label="Prompt; Enter reads it"
        value={typed}
        onType={setTyped}
        onEnter={() => typed !== text && onShow(typed)}
      />
    </div>
  );
}
