// Tokens whose backgrounds show a number for each: the effect of patching a head there, or what a head reads from
// there.
import { divergingScale, toCss } from "./color";
import { among, signed } from "./format";
import { useReading } from "./keys";
import { largestOf } from "./range";
import { usePalette } from "./theme";
import { Token, visibleText } from "./tokens";

interface TokenStripProps {
  name: string;
  label: string;
  tokens: readonly string[];
  /** NaN if a token has no value; `why` gives the reason. */
  values: ArrayLike<number>;
  why?(position: number): string;
  /** |value| at the ends of the scale; by default the largest. */
  end?: number | undefined;
  unit: string;
}

export function TokenStrip({ name, label, tokens, values, why, end, unit }: TokenStripProps) {
  const palette = usePalette();
  const domain = end ?? (largestOf(values) || 1);
  const scale = divergingScale(palette, domain);
  const { active, setActive, onKeyDown } = useReading(tokens.length);
  const numberAt = (i: number) => {
    const value = values[i];
    return value === undefined || !Number.isFinite(value) ? (why?.(i) ?? "none") : signed(value, domain);
  };
  const said = (i: number) => `position ${i} ${visibleText(tokens[i] ?? "")}, ${numberAt(i)}`;
  return (
    <div data-hs={name}>
      <div
        class="hs-strip-tokens hs-focusable"
        role="slider"
        tabIndex={0}
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={tokens.length - 1}
        aria-valuenow={active ?? 0}
        aria-valuetext={active === null ? "arrow keys read the tokens" : said(active)}
        onKeyDown={onKeyDown}
        onPointerLeave={() => setActive(null)}
        onBlur={() => setActive(null)}
      >
        {tokens.map((token, i) => {
          const value = values[i] ?? Number.NaN;
          const style = Number.isFinite(value)
            ? { background: toCss(scale.fill(value)), color: toCss(scale.ink(value)) }
            : undefined;
          return (
            <span
              key={`${i}`}
              class="hs-strip-token"
              data-hs="strip-token"
              data-active={i === active}
              data-none={style === undefined}
              style={style}
              onPointerEnter={() => setActive(i)}
            >
              <Token text={token} />
            </span>
          );
        })}
      </div>
      <p class="hs-detail-words hs-strip-said" data-hs={`${name}-said`}>
        {active !== null && active < tokens.length ? (
          <>
            {active} <Token text={tokens[active] ?? ""} /> <b>{numberAt(active)}</b>
          </>
        ) : (
          `colour: \u2212${among(domain, domain)} to ${signed(domain, domain)} ${unit}`
        )}
      </p>
    </div>
  );
}
