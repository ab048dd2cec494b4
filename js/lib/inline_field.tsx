// Text fields in a row of controls, as high as the menus beside them.
import { Field, type FieldProps } from "./field";

interface InlineFieldProps extends FieldProps {
  /** The word before the field. */
  caption: string;
  title?: string;
}

export function InlineField({ caption, title, ...field }: InlineFieldProps) {
  return (
    <span class="hs-small-field" title={title}>
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
        value={answer}
        onType={(text) => onType({ answer: text })}
      />
      <InlineField
        {...{ name: "wrong", caption: "against", label: "Wrong answer, optional", onEnter }}
        value={wrong}
        onType={(text) => onType({ wrong: text })}
      />
    </>
  );
}

/** A token as it was typed, where a space may be written as it is shown. */
export function typedToken(typed: string): string {
  return typed.replaceAll("\u2423", " ");
}
