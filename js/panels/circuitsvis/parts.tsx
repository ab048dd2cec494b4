// What the figures share: their head, the line in which a token is read and the key of the colours.
import type { ComponentChildren } from "preact";
import { saveCsv } from "../../lib/clipboard";
import { Head, Tools } from "../../lib/head";
import { range } from "../../lib/range";
import { toCsv, toTsv } from "../../lib/table";
import { Token } from "../../lib/tokens";
import { rounded } from "./figure";
import type { Shade } from "./shade";

interface HeadProps {
  title: string;
  words: string;
  /** The first row has the names. */
  rows(): string[][];
}

export function FigureHead({ title, words, rows }: HeadProps) {
  const save = () => saveCsv(toCsv(rows()), title.toLowerCase().replaceAll(" ", "-"));
  return (
    <Head title={title} words={words}>
      <Tools table={() => toTsv(rows())} csv={save} />
    </Head>
  );
}

interface ReadOutProps {
  shade: Shade;
  /** What the key's numbers are above those that colour. */
  shift?: number;
  /** The token that is read. */
  text: string | null | undefined;
  /** What can be read here. */
  hint: string;
  /** What is said about the token. */
  children: ComponentChildren;
}

/** Always there and always as high, so that nothing jumps. */
export function ReadOut({ shade, shift = 0, text, hint, children }: ReadOutProps) {
  return (
    <div class="hs-cv-line">
      <p class="hs-cv-readout hs-cut" data-hs="readout">
        {typeof text === "string" ? (
          <>
            <Word text={text} /> {children}
          </>
        ) : (
          <span class="hs-muted">Hover over a token to read {hint}; click to keep it.</span>
        )}
      </p>
      <Key shade={shade} shift={shift} />
    </div>
  );
}

export function Word({ text }: { text: string }) {
  return (
    <span class="hs-cv-word">
      <Token text={text} />
    </span>
  );
}

const STEPS = 16;

/** From the least to the largest value; a side that has none is left out. */
function Key({ shade, shift }: { shade: Shade; shift: number }) {
  const [low, high] = [Math.min(0, shade.low), Math.max(0, shade.high)];
  if (low === high) return null;
  const stops = range(STEPS + 1).map((i) => shade.fill(low + ((high - low) * i) / STEPS));
  return (
    <span class="hs-cv-key" data-hs="key">
      <span>{rounded(low + shift)}</span>
      <i style={{ background: `linear-gradient(to right, ${stops.join(",")})` }} />
      <span>{rounded(high + shift)}</span>
    </span>
  );
}

export function UnknownColors({ shade }: { shade: Shade }) {
  if (shade.unknown.length === 0) return null;
  const names = shade.unknown.map((text) => `“${text}”`).join(" and ");
  return (
    <p class="hs-quiet" data-hs="warning">
      {names} {shade.unknown.length > 1 ? "are" : "is"} no CSS colour, so the theme's own is shown.
    </p>
  );
}
