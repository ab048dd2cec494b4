// Renders a token's text with invisible characters made visible. It always makes text nodes, never HTML.

export interface TokenPart {
  text: string;
  /** A stand-in for an invisible character. */
  mark: boolean;
}

const NAMED: Record<string, string> = { "\n": "\u23ce", "\t": "\u21e5" };
/** Unicode's names of invisible characters that have an effect; others are shown by their code points. */
const NAMES = new Map(
  [
    [0x200b, "ZWSP ZWNJ ZWJ LRM RLM"],
    [0x202a, "LRE RLE PDF LRO RLO"],
    [0x2066, "LRI RLI FSI PDI"],
  ].flatMap(([first, names]) =>
    String(names)
      .split(" ")
      .map((name, i) => [Number(first) + i, name] as const),
  ),
);
/** Controls, format and direction characters, spaces other than U+0020, fillers, lone surrogates. */
const INVISIBLE =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Zs}\p{Zl}\p{Zp}]|\u034f|[\u115f\u1160\u3164\uffa0]|\p{Variation_Selector}/u;

export function tokenParts(token: string): TokenPart[] {
  if (token === "") return [{ text: "\u2205", mark: true }];
  const leading = token.length - token.trimStart().length;
  const trailing = token.trimEnd().length;
  const parts: TokenPart[] = [];
  let index = 0;
  for (const char of token) {
    const edge = index < leading || index >= trailing;
    append(parts, standIn(char, edge), char);
    index += char.length;
  }
  if (/^\p{M}/u.test(token)) parts.unshift({ text: "\u25cc", mark: true });
  return parts;
}

/** The same as plain text, for canvases, tables and tooltips. */
export function visibleText(token: string): string {
  return tokenParts(token)
    .map((part) => part.text)
    .join("");
}

export function Token({ text }: { text: string }) {
  return (
    <bdi class="hs-token">
      {tokenParts(text).map((part) => (part.mark ? <span class="hs-mark">{part.text}</span> : part.text))}
    </bdi>
  );
}

function standIn(char: string, edge: boolean): string | null {
  if (char === " ") return edge ? "\u2423" : null;
  const named = NAMED[char];
  if (named) return named;
  const code = char.codePointAt(0) ?? 0;
  if (!INVISIBLE.test(char)) return null;
  return `\u27e8${NAMES.get(code) ?? code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}

function append(parts: TokenPart[], mark: string | null, char: string): void {
  const last = parts.at(-1);
  const text = mark ?? char;
  if (last && last.mark === (mark !== null)) last.text += text;
  else parts.push({ text, mark: mark !== null });
}
