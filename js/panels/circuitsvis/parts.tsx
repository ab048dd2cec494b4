// The parts that figures share: their heading, the read-out of a token and the colour legend.
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
  /** The first row is the header. */
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
  /** Names the numbers of the legend. */
  shift?: number;
  /** The token in the read-out. */
  text: string | null | undefined;
  /** Says what hovering shows. */
  hint: string;
  /** The description of the token. */
  children: ComponentChildren;
}

/** Always in the document with the same height, so that nothing jumps. */
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

/** From the smallest to the largest value; a side without values is left out. */
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
