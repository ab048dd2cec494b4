// What the feature of the pinned node means: its name, the tokens that it writes and reads, and where it is strongest.
import { useEffect, useState } from "preact/hooks";
import { saveFile } from "../../lib/clipboard";
import { divergingScale, toCss } from "../../lib/color";
import { Button } from "../../lib/controls";
import { FileButton } from "../../lib/file_button";
import { fixed, signed } from "../../lib/format";
import { canAsk, isBusy, type Status, useTrait } from "../../lib/model";
import { Cancel } from "../../lib/status";
import { useStore } from "../../lib/store";
import { usePalette } from "../../lib/theme";
import { Token } from "../../lib/tokens";
import type { CardProps } from "./card";
import type { Description, WeighedToken } from "./description";
import { Examples, Histogram } from "./examples";
import { featureKey } from "./graph";
import { TextsField } from "./texts";
import { chance } from "./words";

export function FeaturePart(props: CardProps) {
  const { model, state, node } = props;
  const { value: description, problem } = useStore(state.description);
  const status = useTrait<Status | undefined>(model, "status");
  const own =
    description?.json.layer === node.layer && description?.json.feature === node.feature ? description : null;
  return (
    <div class="hs-fg-feature" data-hs="feature">
      <NameField {...props} />
      {problem !== null && <p class="hs-error">{problem}</p>}
      {own ? (
        <>
          <Meaning description={own} />
          <Found {...props} description={own} />
        </>
      ) : (
        canAsk(model) && isBusy(status) && <p class="hs-muted">{"Reading its weights\u2026"}</p>
      )}
    </div>
  );
}

const WORDS = 6;
/** By how much paler than a full colour the strongest token is: these are words to read, not a picture. */
const PALE = 2.5;

/** The tokens that it writes and reads. */
function Meaning({ description: { json } }: { description: Description }) {
  const [all, setAll] = useState(false);
  const several = [json.promoted, json.suppressed, json.excited_by, json.inhibited_by];
  const written = endOf(json.promoted, json.suppressed);
  const read = endOf(json.excited_by, json.inhibited_by);
  const most = all ? Number.POSITIVE_INFINITY : WORDS;
  const logits = "to the logit, for an activation of 1";
  const embedding = "to its pre-activation";
  return (
    <>
      <dl class="hs-fg-words">
        <Words
          name="writes"
          title="writes"
          tokens={json.promoted}
          {...{ most, end: written, unit: logits }}
        />
        <Words
          name="against"
          title="writes against"
          tokens={json.suppressed}
          {...{ most, end: written, unit: logits }}
        />
        <Words
          name="reads-tokens"
          title="reads"
          tokens={json.excited_by}
          {...{ most, end: read, unit: embedding }}
        />
        <Words
          name="reads-against"
          title="reads against"
          tokens={json.inhibited_by}
          {...{ most, end: read, unit: embedding }}
        />
      </dl>
      <div class="hs-fg-line">
        {several.some(({ length }) => length > WORDS) && (
          <Button
            name="all-words"
            title="How many tokens of each kind are listed"
            quiet
            onClick={() => setAll(!all)}
          >
            {all ? "Fewer tokens" : "More tokens"}
          </Button>
        )}
        <details class="hs-small" data-hs="note">
          <summary title={json.note}>What these numbers leave out</summary>
          {json.note}
        </details>
      </div>
    </>
  );
}

const endOf = (...lists: WeighedToken[][]): number =>
  Math.max(...lists.flat().map(({ value }) => Math.abs(value)), 1e-9);

interface WordsProps {
  name: string;
  title: string;
  tokens: readonly WeighedToken[];
  most: number;
  /** |value| of the deepest colour. */
  end: number;
  /** What a value is added to. */
  unit: string;
}

function Words({ name, title, tokens, most, end, unit }: WordsProps) {
  const scale = divergingScale(usePalette(), PALE * end);
  if (tokens.length === 0) return null;
  return (
    <>
      <dt>{title}</dt>
      <dd data-hs={name}>
        {tokens.slice(0, most).map(({ id, text, value }) => (
          <span
            key={id}
            class="hs-fg-word"
            title={`${signed(value, end)} ${unit}`}
            style={{ background: toCss(scale.fill(value)), color: toCss(scale.ink(value)) }}
          >
            <Token text={text} />
          </span>
        ))}
      </dd>
    </>
  );
}

/** Where in the texts it is active, and the texts themselves. */
function Found(props: CardProps & { description: Description }) {
  const { model, state, description } = props;
  const { json } = description;
  const [other, setOther] = useState(false);
  useEffect(() => setOther(false), [json.id]);
  const asks = canAsk(model);
  if (json.texts === 0) {
    return asks ? (
      <TextsField state={state} words="Paste a text to see where this feature is strongest." />
    ) : null;
  }
  return (
    <>
      <p class="hs-detail-words" data-hs="active">
        {activeWords(description)}
      </p>
      {json.warnings.map((words) => (
        <p key={words} class="hs-detail-words" data-hs="feature-warning">
          {words}
        </p>
      ))}
      {json.provenance.complete === false && asks && <Reading {...props} />}
      <Histogram description={description} />
      <Examples examples={description.examples} />
      {asks && (
        <div class="hs-fg-line">
          <Button
            name="other-texts"
            title="Look for examples in another text"
            quiet
            expanded={other}
            onClick={() => setOther(!other)}
          >
            {"Other text\u2026"}
          </Button>
          <Button
            name="no-texts"
            title="Look for no examples"
            quiet
            onClick={() => state.rpc.request("read_texts", { texts: [] })}
          >
            Put away
          </Button>
        </div>
      )}
      {asks && other && <TextsField state={state} words="Examples are looked for in this text instead." />}
    </>
  );
}

function activeWords({ json }: Description): string {
  const tokens = `${json.positions.toLocaleString("en")} tokens`;
  const where = json.texts === 1 ? tokens : `${tokens} of ${json.texts} texts`;
  const start =
    json.at_start === null || json.at_start === 0
      ? ""
      : `; ${fixed(json.at_start)} at the token that begins every text, which does not count`;
  if (json.positions === 0) return "No tokens read yet.";
  if (json.active === 0) return `Active nowhere in ${where}${start}.`;
  return `Active at ${json.active.toLocaleString("en")} of ${where} (${chance(json.active / json.positions)})${start}.`;
}

/** While texts are read, or after that was cancelled. */
function Reading({ model, state }: CardProps) {
  const busy = isBusy(useTrait<Status | undefined>(model, "status"));
  return (
    <div class="hs-fg-line hs-small" data-hs="reading">
      <span>{busy ? "Still reading\u2026" : "Stopped before the end."}</span>
      {busy ? (
        <Cancel name="cancel-texts" rpc={state.rpc} />
      ) : (
        <Button
          name="read-again"
          title="Read the texts again, to the end"
          onClick={() => state.rpc.request("run_again", {})}
        >
          Read all
        </Button>
      )}
    </div>
  );
}

function NameField({ model, state, node, names }: CardProps) {
  const known = names[featureKey(node)] ?? "";
  const [typed, setTyped] = useState(known);
  useEffect(() => setTyped(known), [known]);
  if (!canAsk(model) || node.layer === null || node.feature === null) return null;
  const { layer, feature } = node;
  const commit = () => {
    if (typed.trim() !== known) state.rpc.request("name_feature", { layer, feature, name: typed.trim() });
  };
  return (
    <div class="hs-fg-line">
      <label class="hs-small-field hs-small" title="What you call this feature, at every position">
        <span>name</span>
        <input
          type="text"
          data-hs="feature-name"
          size={18}
          maxLength={200}
          value={typed}
          placeholder={featureKey(node)}
          onInput={({ currentTarget }) => setTyped(currentTarget.value)}
          onBlur={commit}
          onKeyDown={(event) => {
            // JupyterLab intercepts Enter before the field fires a change event.
            if (event.key === "Enter") commit();
            if (event.key === "Escape") setTyped(known);
            if (event.key === "Escape") event.stopPropagation();
          }}
        />
      </label>
      <NamesFile state={state} names={names} />
    </div>
  );
}

/** The names of all features, into a file and from one. */
function NamesFile({ state, names }: Pick<CardProps, "state" | "names">) {
  return (
    <>
      <FileButton
        name="names-file"
        title="Take the names of features from a file that was saved here"
        accept=".json,application/json"
        longest={LARGEST_NAMES}
        quiet
        onText={(text) => state.rpc.request("read_names", { text })}
      >
        {"Load names\u2026"}
      </FileButton>
      {Object.keys(names).length > 0 && (
        <Button
          name="save-names"
          title="Save the names of all features as JSON"
          quiet
          onClick={() =>
            saveFile(`${JSON.stringify(names, null, 1)}\n`, "feature_names.json", "application/json")
          }
        >
          Save names
        </Button>
      )}
    </>
  );
}

/** As in widgets/hookscope/feature_card.py. */
const LARGEST_NAMES = 2_000_000;
