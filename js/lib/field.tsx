// Text fields that show leading and trailing spaces and grow with their text.
import { useEffect, useState } from "preact/hooks";
import { Token } from "./tokens";

const RETURN_HELP =
  "The text has carriage returns (\\r), each shown as a symbol; delete the symbols to remove them.";
/** A zero-width character that gives an empty last line its height. */
const EMPTY_LINE = "\u200b";

/** Stand-ins for a carriage return, which a textarea would turn into a line feed or drop. */
const RETURNS = ["\u240d", "\u21b5", "\u2190"];

/** Converts between a text and what a textarea can hold. A text without carriage returns stays as it is. */
export function holdable(value: string) {
  const standIn = value.includes("\r") ? RETURNS.find((mark) => !value.includes(mark)) : undefined;
  if (!standIn) return { held: value, textOf: (held: string) => held };
  return {
    held: value.replaceAll("\r", standIn),
    textOf: (held: string) => held.replaceAll(standIn, "\r"),
  };
}

export interface FieldProps {
  name: string;
  label: string;
  value: string;
  readonly?: boolean;
  help?: string | undefined;
  /** Id of the element with the error about this field. */
  problem?: string | undefined;
  onType(value: string): void;
  onEnter(): void;
}

export function Field({ name, label, value, readonly, help, problem, onType, onEnter }: FieldProps) {
  if (readonly) {
    return (
      <div class="hs-field hs-field-plain" data-hs={`input-${name}`} role="group" aria-label={label}>
        {value.split(/(?<=\n)/).map((line, i) => (
          <div key={`${i}`}>
            <Token text={line} />
          </div>
        ))}
      </div>
    );
  }
  const { held, textOf } = holdable(value);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.shiftKey) return onEnter();
    // Inserted by hand, because JupyterLab blocks line breaks in fields inside a cell.
    const field = event.currentTarget as HTMLTextAreaElement;
    field.setRangeText("\n", field.selectionStart, field.selectionEnd, "end");
    onType(textOf(field.value));
  };
  return (
    <div class="hs-field">
      <Ghost value={held} />
      <textarea
        rows={1}
        value={held}
        title={held === value ? help : RETURN_HELP}
        data-hs={`input-${name}`}
        aria-label={label}
        aria-invalid={problem !== undefined}
        aria-describedby={problem}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        onScroll={({ currentTarget }) => {
          // The layer underneath scrolls along.
          currentTarget.previousElementSibling?.scrollTo(0, currentTarget.scrollTop);
        }}
        onInput={(event) => onType(textOf(event.currentTarget.value))}
        onKeyDown={onKeyDown}
      />
    </div>
  );
}

/** A layer under the text that gives the field its height and marks spaces that could be missed. */
function Ghost({ value }: { value: string }) {
  return (
    <div class="hs-ghost" aria-hidden="true">
      {value.split(/(^ +| +$| +(?=\n)|(?<=\n) +|\n)/).map((part) => {
        if (part === "\n") return <span class="hs-ghost-mark">{"\u23ce\n"}</span>;
        if (!/^ +$/.test(part)) return part;
        return [...part].map(() => <span class="hs-ghost-mark hs-ghost-space">{"\u2423"}</span>);
      })}
      {EMPTY_LINE}
    </div>
  );
}

interface InlineFieldProps extends FieldProps {
  /** The label before the field. */
  caption: string;
  title?: string;
}

export function InlineField({ caption, title, ...field }: InlineFieldProps) {
  return (
    <span class="hs-small-field hs-small" title={title}>
      <span aria-hidden="true">{caption}</span>
      <Field {...field} />
    </span>
  );
}

export interface Answers {
  answer: string;
  wrong: string;
}

interface AnswerFieldsProps extends Answers {
  label: string;
  onType(change: Partial<Answers>): void;
  onEnter(): void;
}

/** An answer, and the wrong answer that it is compared with. */
export function AnswerFields({ label, answer, wrong, onType, onEnter }: AnswerFieldsProps) {
  return (
    <>
      <InlineField
        {...{ name: "answer", caption: "answer", label, onEnter }}
        title="The token that is explained, such as ␣Oslo"
        value={answer}
        onType={(text) => onType({ answer: text })}
      />
      <InlineField
        {...{ name: "wrong", caption: "against", label: "Wrong answer, optional", onEnter }}
        title="The token that it is compared with; may be empty"
        value={wrong}
        onType={(text) => onType({ wrong: text })}
      />
    </>
  );
}

/** The token that was typed; a space may be typed as the symbol that shows it. */
export function typedToken(typed: string): string {
  return typed.replaceAll("\u2423", " ");
}

/** A prompt field; pressing Enter submits the prompt. */
export function Prompt({ text, onShow }: { text: string; onShow(text: string): void }) {
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  return (
    <div class="hs-prompt" data-hs="prompt">
      <Field
        name="prompt"
        label="Prompt; Enter reads it"
        help="Enter reads the prompt, Shift+Enter begins a line"
        value={typed}
        onType={setTyped}
        onEnter={() => typed !== text && onShow(typed)}
      />
    </div>
  );
}
