// The pinned head: from which tokens of the prompt it takes what it writes, as their ground.
import { useEffect } from "preact/hooks";
import { divergingScale, toCss } from "../../lib/color";
import { signed } from "../../lib/format";
import { useReading } from "../../lib/reading";
import { usePalette } from "../../lib/theme";
import { Token, visibleText } from "../../lib/tokens";
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
  const palette = usePalette();
  const [layer, index] = head;
  const oneToOne = attribution.json.counterparts === null;
  const possible = shown.name !== "difference" || oneToOne;
  const sources = possible ? attribution.sourcesOf(layer, index, shown.name) : null;
  useEffect(() => {
    if (!readonly) state.needSources(attribution, layer, index);
  }, [attribution, layer, index, readonly]);
  const largest = sources?.reduce((most, value) => Math.max(most, Math.abs(value) || 0), 0) || 1;
  const scale = divergingScale(palette, largest);
  const { active, setActive, onKeyDown } = useReading(sources?.length ?? 0);
  const said = (i: number) => `position ${i} ${visibleText(shown.tokens[i] ?? "")}, ${signed(sources?.[i])}`;
  const value = active === null ? undefined : sources?.[active];
  const title = `Head ${layer}.${index}`;
  return (
    <section class="hs-part" data-hs="sources" aria-label={`${title} by source token`}>
      <h3 class="hs-title">
        {title} <small>by the token that it looks at</small>
      </h3>
      {sources ? (
        <>
          <div
            class="hs-sources hs-focusable"
            role="slider"
            tabIndex={0}
            aria-label={`${title} by source token`}
            aria-valuemin={0}
            aria-valuemax={sources.length - 1}
            aria-valuenow={active ?? 0}
            aria-valuetext={active === null ? "arrow keys read the tokens" : said(active)}
            onKeyDown={onKeyDown}
            onPointerLeave={() => setActive(null)}
            onBlur={() => setActive(null)}
          >
            {shown.tokens.slice(0, sources.length).map((token, i) => {
              const at = sources[i] ?? 0;
              const style = { background: toCss(scale.fill(at)), color: toCss(scale.ink(at)) };
              return (
                <span
                  key={`${i}`}
                  class="hs-source"
                  data-hs="source"
                  data-active={i === active}
                  style={style}
                  onPointerEnter={() => setActive(i)}
                >
                  <Token text={token} />
                </span>
              );
            })}
          </div>
          <p class="hs-detail-words hs-said">
            {value !== undefined && active !== null ? (
              <>
                {active} <Token text={shown.tokens[active] ?? ""} /> <b>{signed(value)}</b>
              </>
            ) : (
              `colour: \u2212${largest.toFixed(2)} to +${largest.toFixed(2)} logits`
            )}
          </p>
        </>
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
