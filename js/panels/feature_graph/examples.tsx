// Where in the texts a feature is strongest, a line each, and how strong it is everywhere.
import { useState } from "preact/hooks";
import { divergingScale, toCss } from "../../lib/color";
import { Button } from "../../lib/controls";
import { among, fixed } from "../../lib/format";
import { largestOf } from "../../lib/range";
import { usePalette } from "../../lib/theme";
import { Token } from "../../lib/tokens";
import type { Description, Example } from "./description";

const LISTED = 5;
/** Characters before the strongest token in a line. */
const BEFORE = 16;

export function Examples({ examples }: { examples: readonly Example[] }) {
  const [all, setAll] = useState(false);
  const end = Math.max(...examples.map(({ activations }) => largestOf(activations)), 1e-9);
  if (examples.length === 0) return null;
  return (
    <div data-hs="examples">
      <ol class="hs-fg-examples" aria-label="Strongest examples">
        {(all ? examples : examples.slice(0, LISTED)).map((example) => (
          <li key={`${example.text} ${example.start}`}>
            <Line example={example} end={end} />
          </li>
        ))}
      </ol>
      {examples.length > LISTED && (
        <Button name="all-examples" title="How many examples are listed" quiet onClick={() => setAll(!all)}>
          {all ? "Fewer examples" : `All ${examples.length} examples`}
        </Button>
      )}
    </div>
  );
}

/** The index of the first token of a line that still shows the strongest one. */
export function firstShown(tokens: readonly string[], at: number): number {
  let first = at;
  let length = 0;
  while (first > 0 && length + (tokens[first - 1]?.length ?? 0) <= BEFORE) {
    first -= 1;
    length += tokens[first]?.length ?? 0;
  }
  return first;
}

function Line({ example, end }: { example: Example; end: number }) {
  const { text, start, at, tokens, activations } = example;
  const [open, setOpen] = useState(false);
  const scale = divergingScale(usePalette(), end);
  const first = open ? 0 : firstShown(tokens, at);
  return (
    <button
      type="button"
      class="hs-plain hs-focusable hs-fg-example"
      data-hs="example"
      aria-expanded={open}
      title={`Text ${text + 1}, token ${start + at}. Click to ${open ? "close it" : "see more of it"}`}
      onClick={() => setOpen(!open)}
    >
      <span class="hs-muted">{among(end, activations[at])}</span>
      <span class={open ? "" : "hs-fg-cut"}>
        {first > 0 && "\u2026"}
        {tokens.slice(first).map((token, i) => {
          const value = activations[first + i] ?? 0;
          const style =
            value === 0
              ? undefined
              : { background: toCss(scale.fill(value)), color: toCss(scale.ink(value)) };
          return (
            <span key={`${first + i}`} style={style} title={`activation ${among(end, value)}`}>
              <Token text={token} />
            </span>
          );
        })}
      </span>
    </button>
  );
}

const HEIGHT = 28;

/** How many tokens have which activation, of those where it is active. */
export function Histogram({ description: { counts, edges } }: { description: Description }) {
  if (counts.length === 0) return null;
  const most = largestOf(counts) || 1;
  const [low, high] = [edges[0] ?? 0, edges.at(-1) ?? 0];
  return (
    <div class="hs-fg-histogram hs-small" data-hs="histogram">
      <svg
        viewBox={`0 0 ${counts.length} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Histogram of activations from ${fixed(low)} to ${fixed(high)}`}
      >
        {[...counts].map((count, i) => {
          const height = count === 0 ? 0 : Math.max(1, (HEIGHT * count) / most);
          const [from, to] = [edges[i] ?? 0, edges[i + 1] ?? 0];
          return (
            <rect key={`${i}`} x={i + 0.1} y={HEIGHT - height} width={0.8} height={height}>
              <title>{`${count} tokens from ${fixed(from)} to ${fixed(to)}`}</title>
            </rect>
          );
        })}
      </svg>
      <span>{fixed(low)}</span>
      <span>{fixed(high)}</span>
    </div>
  );
}
