// The PromptPairEditor view: two prompts with their answers and tokens, and what the model predicts after them.
import { count } from "../../lib/format";
import { Head } from "../../lib/head";
import { type Failure, useTrait, type ViewModel } from "../../lib/model";
import { Root } from "../../lib/mount";
import type { PanelProps } from "../../lib/panel";
import { ErrorLine } from "../../lib/status";
import { useStore } from "../../lib/store";
import { useUniqueId } from "../../lib/unique_id";
import { answerGroups } from "./answers";
import type { Draft } from "./draft";
import { Prompts } from "./prompts";
import { ReadingPanel } from "./reading";
import { Templates, Tools } from "./toolbar";
import { type EditorInfo, type Pair, type Reading, samePair, type Tokens } from "./types";
import { Warnings } from "./warnings";

export function PromptPairEditorView({ model, state: draft }: PanelProps<Draft>) {
  const pair = useStore(draft.pair);
  useTrait(model, "tokens");
  const tokens = draft.tokens();
  const reading = useTrait<Reading | null>(model, "reading");
  const error = useTrait<Failure | null>(model, "error");
  const stale = reading !== null && !samePair(reading.pair, pair);
  const warnings = [...tokens.warnings, ...(stale ? [] : (reading?.warnings ?? []))];
  const id = useUniqueId();
  const onKeyDown = (event: KeyboardEvent) => {
    if (model.readonly || !undoOrRedo(event, draft)) return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <Root name="prompt-pair-editor" label="Prompt pair" onKeyDown={onKeyDown}>
      <div class="hs-editor">
        <section class="hs-prompts" aria-label="Prompts">
          <Head title="Prompts" words={subtitle(tokens, pair)}>
            <Tools model={model} draft={draft} />
          </Head>
          <Templates model={model} draft={draft} />
          <Prompts id={id} model={model} draft={draft} pair={pair} tokens={tokens} warnings={warnings} />
          <FirstToken model={model} draft={draft} pair={pair} tokens={tokens} />
          <TokenInFront model={model} draft={draft} pair={pair} />
          <Warnings
            id={id}
            warnings={warnings}
            onFix={model.readonly ? null : (fixed) => draft.replace(fixed)}
          />
          <ErrorLine error={error} rpc={model.readonly ? null : draft.rpc} />
        </section>
        <ReadingPanel model={model} draft={draft} rpc={draft.rpc} reading={reading} stale={stale} />
      </div>
    </Root>
  );
}

interface FirstTokenProps {
  model: ViewModel;
  draft: Draft;
  pair: Pair;
  tokens: Tokens;
}

/** Shown only if an answer has more than one token. */
function FirstToken({ model, draft, pair, tokens }: FirstTokenProps) {
  const groups = [...answerGroups(tokens.clean_answer), ...answerGroups(tokens.corrupt_answer)];
  const several = groups.some((group) => group.length > 1);
  if (!several && !pair.score_first_token) return null;
  return (
    <label class="hs-check hs-small" title="Otherwise answers of several tokens are refused by most metrics">
      <input
        type="checkbox"
        data-hs="score-first-token"
        checked={pair.score_first_token}
        disabled={model.readonly === true}
        onChange={(event) =>
          draft.replace({ ...draft.pair.get(), score_first_token: event.currentTarget.checked })
        }
      />
      score only the first token of each answer
    </label>
  );
}

/** Whether the prompts begin with the beginning-of-text token, for models that have one. */
function TokenInFront({ model, draft, pair }: Omit<FirstTokenProps, "tokens">) {
  const bos = useTrait<EditorInfo>(model, "info").model?.bos;
  if (!bos) return null;
  const put = bos.default ? `${bos.by} puts it in front of every prompt` : "Prompts have none by default";
  const plain =
    bos.by === "TransformerLens"
      ? "The model's own tokenizer does not: without it, numbers are those of plain transformers."
      : "The model was trained with it.";
  return (
    <label class="hs-check hs-small" title={`${put}. ${plain}`}>
      <input
        type="checkbox"
        data-hs="prepend-bos"
        checked={pair.prepend_bos ?? bos.default}
        disabled={model.readonly === true}
        onChange={({ currentTarget: { checked } }) =>
          draft.replace({ ...draft.pair.get(), prepend_bos: checked === bos.default ? null : checked })
        }
      />
      begin both prompts with {bos.token}
    </label>
  );
}

function subtitle({ clean, corrupt, columns }: Tokens, { alignment }: Pair): string {
  const [n, m] = [clean.ids.length, corrupt.ids.length];
  if (n === 0 && m === 0) return "";
  const lengths = n === m ? `${count(n, "token")} each` : `${n} and ${count(m, "token")}`;
  if (alignment) return `${lengths}, aligned by hand`;
  if (n !== m) return `${lengths}, aligned automatically`;
  const differ = columns.filter((column) => !column.same).length;
  return `${lengths}, ${differ === 0 ? "none differs" : `${differ} differ${differ === 1 ? "s" : ""}`}`;
}

/** Whether the key combination undoes or redoes a step. */
function undoOrRedo(event: KeyboardEvent, draft: Draft): boolean {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return false;
  const key = event.key.toLowerCase();
  if (key === "z" && !event.shiftKey) draft.undo();
  else if (key === "y" || key === "z") draft.redo();
  else return false;
  return true;
}
