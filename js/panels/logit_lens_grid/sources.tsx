// The pinned head: from which tokens of the prompt it takes what it writes, as their ground.
import { useEffect } from "preact/hooks";
import { TokenStrip } from "../../lib/token_strip";
import type { Attributed, Attribution } from "./attribution";
import type { LensState } from "./state";

interface SourcesProps {
  state: LensState;
  attribution: Attribution;
  shown: Attributed;
  head: readonly [number, number];
  readonly: boolean;
}

export function Sources({ state, attribution, shown, head, readonly }: SourcesProps) {
  const [layer, index] = head;
  const oneToOne = attribution.json.counterparts === null;
  const possible = shown.name !== "difference" || oneToOne;
  const sources = possible ? attribution.sourcesOf(layer, index, shown.name) : null;
  useEffect(() => {
    if (!readonly) state.needSources(attribution, layer, index);
  }, [attribution, layer, index, readonly]);
  const title = `Head ${layer}.${index}`;
  const label = `${title} by source token`;
  return (
    <section class="hs-part" data-hs="sources" aria-label={label}>
      <h3 class="hs-title">
        {title} <small>by the token that it looks at</small>
      </h3>
      {sources ? (
        <TokenStrip
          name="source-tokens"
          label={label}
          tokens={shown.tokens.slice(0, sources.length)}
          values={sources}
          unit="logits"
        />
      ) : (
        <p class="hs-quiet">{whyNone(possible, readonly)}</p>
      )}
    </section>
  );
}

function whyNone(possible: boolean, readonly: boolean): string {
  if (!possible)
    return "The tokens of the two prompts do not correspond one to one. Choose the clean or the corrupt side.";
  return readonly ? "The head's sources were not saved." : "Asking for the head's sources\u2026";
}
