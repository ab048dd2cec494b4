import fc from "fast-check";
import { render } from "preact";
import { expect, test } from "vitest";
import { Token, tokenParts, visibleText } from "../../js/lib/tokens";

test.each([
  [" is", "\u2423is"],
  ["  x ", "\u2423\u2423x\u2423"],
  ["a b", "a b"],
  [" ", "\u2423"],
  ["\n", "\u23ce"],
  ["\t\r", "\u21e5\u27e8000D\u27e9"],
  ["\u0000\u001b\u007f", "\u27e80000\u27e9\u27e8001B\u27e9\u27e8007F\u27e9"],
  ["\u200e\u202e", "\u27e8LRM\u27e9\u27e8RLO\u27e9"],
  ["\u2069\u200d", "\u27e8PDI\u27e9\u27e8ZWJ\u27e9"],
  ["\u00a0\ufeff", "\u27e800A0\u27e9\u27e8FEFF\u27e9"],
  ["\ud83d", "\u27e8D83D\u27e9"],
  ["\u0301", "\u25cc\u0301"],
  ["", "\u2205"],
  ["\\xe2", "\\xe2"],
  ["\u5317\u4eac", "\u5317\u4eac"],
])("%j is shown as %s", (token, shown) => {
  expect(visibleText(token)).toBe(shown);
});

test("only stand-ins are marked", () => {
  expect(tokenParts(" is\n")).toEqual([
    { text: "\u2423", mark: true },
    { text: "is", mark: false },
    { text: "\u23ce", mark: true },
  ]);
});

test("a token is text and isolated, whatever it holds", () => {
  const el = document.createElement("div");
  render(<Token text={'<script>alert("x")</script>\u05d0'} />, el);
  expect(el.querySelector("script")).toBeNull();
  expect(el.textContent).toBe('<script>alert("x")</script>\u05d0');
  expect(el.firstElementChild?.tagName).toBe("BDI");
});

test("no token is shown with a character that cannot be seen", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (token) => {
      expect(visibleText(token)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
      expect(visibleText(token)).not.toMatch(/^\s|\s$/u);
    }),
  );
});

test("every token of a byte-level vocabulary is drawn with a shape of its own", () => {
  // As Python sends them: a byte that is a character is that, the others are written \\x80 to \\xff.
  const tokens = Array.from({ length: 256 }, (_, byte) =>
    byte < 0x80 ? String.fromCharCode(byte) : `\\x${byte.toString(16)}`,
  );
  const box = document.createElement("div");
  render(
    tokens.map((token) => <Token key={token} text={token} />),
    box,
  );
  const drawn = [...box.children].map((child) => child.textContent ?? "");
  expect(new Set(drawn).size).toBe(256);
  for (const text of drawn) expect(text).toMatch(/^[\u0021-\u007e\u2423\u23ce\u21e5\u27e8\u27e9]+$/);
});
