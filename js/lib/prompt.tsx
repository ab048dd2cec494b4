// The prompt of a view that has one of its own.
import { useEffect, useState } from "preact/hooks";
import { Button } from "./controls";
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
        readonly={false}
        problem={undefined}
        onType={setTyped}
        onEnter={() => typed !== text && onShow(typed)}
      />
    </div>
  );
}

/** A prompt that is longer than the context: the sentence says how much of its end can be read. */
export function Shorter({ message, onRead }: { message: string; onRead(last: number): void }) {
  const last = Number(/\blast=(\d+)\.$/.exec(message)?.[1] ?? 0);
  if (last === 0) return null;
  return (
    <Button name="read-last" onClick={() => onRead(last)}>
      Read the last {last} tokens
    </Button>
  );
}
