// The field of an answer or a set of answers, and its tokens.
import { useState } from "preact/hooks";
import { Field, type FieldProps } from "../../lib/field";
import { Token } from "../../lib/tokens";
import { answerGroups, answerOf, textOf } from "./answers";
import type { Answer, AnswerTokenList } from "./types";

interface AnswerFieldProps extends Omit<FieldProps, "value" | "onType"> {
  value: Answer;
  onType(value: Answer): void;
}

/** While it is written the text may hold more than the answer, such as the empty line that the next one goes into. */
export function AnswerField({ value, onType, ...field }: AnswerFieldProps) {
  const [typed, setTyped] = useState("");
  const text = textOf(value) === textOf(answerOf(typed)) ? typed : textOf(value);
  return (
    <Field
      {...field}
      value={text}
      onType={(next) => {
        setTyped(next);
        onType(answerOf(next));
      }}
    />
  );
}

export function AnswerTokens({ name, list }: { name: string; list: AnswerTokenList }) {
  return (
    <div class="hs-tokens hs-answers" role="list" data-hs={`tokens-${name}`}>
      {answerGroups(list).map((group) => (
        <span key={group[0]} class="hs-answer-group" role="listitem">
          {group.map((i) => (
            <span key={i} class="hs-chip" title={`id ${list.ids[i]}`}>
              <Token text={list.tokens[i] ?? ""} />
            </span>
          ))}
        </span>
      ))}
    </div>
  );
}
