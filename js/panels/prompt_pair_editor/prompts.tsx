// The two prompts with their answers. The tokens of both are between them, so that differences are easy to see.
import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { Field, type FieldProps } from "../../lib/field";
import { select, useSelection, useTrait, type ViewModel } from "../../lib/model";
import { Token, visibleText } from "../../lib/tokens";
import { type Aligning, useAligning } from "./aligning";
import { cellOf, otherRun, placeOf } from "./alignment";
import { answerGroups, answerOf, textOf } from "./answers";
import type { Draft } from "./draft";
import { covered, foldsOf, NO_FOLDS } from "./fold";
import { TokenStrip } from "./token_strip";
import type { Answer, AnswerTokenList, Pair, Run, Tokens, Warning } from "./types";
import { problemOf } from "./warnings";

interface PromptsProps {
  id: string;
  model: ViewModel;
  draft: Draft;
  pair: Pair;
  tokens: Tokens;
  warnings: Warning[];
}

export function Prompts(props: PromptsProps) {
  const { model, draft, pair, tokens } = props;
  const place = useSelection(model);
  const columns = draft.columns();
  const readonly = model.readonly === true;
  const known = useTrait<Pair>(model, "pair");
  const current = known.clean === pair.clean && known.corrupt === pair.corrupt;
  const aligning = useAligning({
    draft,
    readonly,
    current,
    tokens,
    columns,
    byHand: Boolean(pair.alignment),
  });
  const [unfolded, setUnfolded] = useState(false);
  const selected = cellOf(tokens, columns, place);
  const every = useMemo(() => foldsOf(columns), [columns]);
  const isFolded = covered(columns, every)[columns.findIndex(({ clean }) => clean === selected)];
  // Tokens to be linked, and the pinned token, are in view.
  const folds = unfolded || aligning.on || isFolded ? NO_FOLDS : every;
  return (
    <>
      <PromptRow run="clean" {...props}>
        <TokenStrip
          tokens={tokens}
          columns={columns}
          aligning={aligning}
          selected={selected}
          folds={folds}
          onUnfold={() => setUnfolded(true)}
          onSelect={(position) => select(model, position === null ? null : placeOf(position))}
        />
      </PromptRow>
      <PromptRow run="corrupt" {...props}>
        <AlignBar aligning={aligning} tokens={tokens}>
          {unfolded && every.size > 0 && !aligning.on && (
            <Button name="refold" title="Hide long runs of them" quiet onClick={() => setUnfolded(false)}>
              Fold equal tokens
            </Button>
          )}
        </AlignBar>
      </PromptRow>
    </>
  );
}

const ANSWER = "What should follow, with its leading space; several answers on lines of their own";
const HELP = {
  clean: "The prompt to explain",
  corrupt: "The same prompt with the relevant word changed",
  clean_answer: ANSWER,
  corrupt_answer: ANSWER,
};

interface PromptRowProps extends PromptsProps {
  run: Run;
  /** The content under the prompt. */
  children: ComponentChildren;
}

function PromptRow({ id, run, model, draft, pair, tokens, warnings, children }: PromptRowProps) {
  const answer = `${run}_answer` as const;
  const field = (name: Run | typeof answer) => ({
    name,
    label: `${run} ${name === run ? "prompt" : "answer"}`,
    readonly: model.readonly === true,
    help: HELP[name],
    problem: problemOf(id, warnings, name),
    onEnter: () => draft.flush(),
  });
  return (
    <div class="hs-row" data-hs={`row-${run}`}>
      <span class={`hs-run hs-small hs-run-${run}`}>{run}</span>
      <div class="hs-prompt">
        {/* An alignment refers to the tokens as they were when it was made. */}
        <Field
          {...field(run)}
          value={pair[run]}
          onType={(value) => draft.type({ [run]: value, alignment: null })}
        />
      </div>
      <div class="hs-answer">
        <AnswerField
          {...field(answer)}
          value={pair[answer]}
          onType={(value) => draft.type({ [answer]: value })}
        />
        <AnswerTokens name={answer} list={tokens[answer]} />
      </div>
      <div class="hs-below">{children}</div>
    </div>
  );
}

interface AnswerFieldProps extends Omit<FieldProps, "value" | "onType"> {
  value: Answer;
  onType(value: Answer): void;
}

/** During typing, the text may contain more than the answer, such as an empty line for the next answer. */
function AnswerField({ value, onType, ...field }: AnswerFieldProps) {
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

function AnswerTokens({ name, list }: { name: string; list: AnswerTokenList }) {
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

interface AlignBarProps {
  aligning: Aligning;
  tokens: Pick<Tokens, Run>;
  children: ComponentChildren;
}

function AlignBar({ aligning, tokens, children }: AlignBarProps) {
  const { on, chosen, byHand, editable } = aligning;
  if (!editable || tokens.clean.ids.length === 0 || tokens.corrupt.ids.length === 0) return null;
  return (
    <div class="hs-align hs-small" role="group" aria-label="Alignment" data-hs="align-bar">
      <Button
        name="align"
        title={on ? "Stop aligning" : "Align the tokens of the two prompts by hand"}
        quiet
        onClick={() => aligning.turn(!on)}
      >
        {on ? "Done" : "Align tokens"}
      </Button>
      {byHand && (
        <Button
          name="align-automatic"
          title="Discard the links made by hand"
          quiet
          onClick={aligning.automatic}
        >
          Automatic
        </Button>
      )}
      {children}
      <span role="status" class="hs-align-help" data-hs="align-help">
        {on &&
          (chosen
            ? `Now the ${otherRun(chosen.run)} token that corresponds to ${visibleText(tokens[chosen.run].tokens[chosen.index] ?? "")}; Delete unlinks it`
            : "Drag or choose two tokens to link them, click a link to remove it")}
      </span>
    </div>
  );
}
