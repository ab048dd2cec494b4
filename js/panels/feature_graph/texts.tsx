// A place to paste a text, or to choose a file, in which the strongest examples of features are looked for.
import { useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { FileButton } from "../../lib/file_button";
import { useStore } from "../../lib/store";
import type { FeatureState } from "./state";

/** As in widgets/hookscope/feature_card.py. */
const LONGEST = 2_000_000;
const TOO_LONG =
  "This is too long: two million characters are read here. Longer texts are given in Python, as texts=.";

export function TextsField({ state, words }: { state: FeatureState; words: string }) {
  const [typed, setTyped] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const waiting = useStore(state.rpc.pending).has("read_texts");
  const read = (text: string) => {
    setWrong(text.length > LONGEST ? TOO_LONG : null);
    if (text.length <= LONGEST) state.rpc.request("read_texts", { texts: [text] });
  };
  return (
    <div class="hs-fg-texts" data-hs="texts">
      <textarea
        rows={2}
        data-hs="texts-text"
        aria-label={words}
        placeholder={words}
        spellcheck={false}
        value={typed}
        onInput={({ currentTarget }) => setTyped(currentTarget.value)}
      />
      <div class="hs-fg-line">
        <Button
          name="read-texts"
          title="Look in this text for the strongest examples of every feature that is pinned"
          disabled={typed.trim() === "" || waiting}
          onClick={() => read(typed)}
        >
          Find examples
        </Button>
        <FileButton
          name="texts-file"
          title="Read a plain text file, of two million characters at most"
          accept=".txt,.md,text/plain"
          longest={LONGEST}
          quiet
          onText={read}
        >
          {"From a file\u2026"}
        </FileButton>
      </div>
      <div role="alert">
        {wrong !== null && (
          <p class="hs-error" data-hs="texts-problem">
            {wrong}
          </p>
        )}
      </div>
    </div>
  );
}
