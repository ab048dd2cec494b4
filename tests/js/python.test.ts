import fc from "fast-check";
import { expect, test } from "vitest";
import { pythonCode, pythonString } from "../../js/panels/prompt_pair_editor/python";
import { PAIR } from "./helpers";

test("the code makes the pair", () => {
  expect(pythonCode({ ...PAIR, score_first_token: true, prepend_bos: false })).toBe(
    [
      "import hookscope as hs",
      "",
      "pair = hs.PromptPair(",
      '    clean="The capital of Norway is",',
      '    corrupt="The capital of Sweden is",',
      '    clean_answer=" Oslo",',
      '    corrupt_answer=" Stockholm",',
      "    score_first_token=True,",
      "    prepend_bos=False,",
      ")",
      "",
    ].join("\n"),
  );
});

test("sets of answers are lists, and an alignment made by hand is written too", () => {
  const code = pythonCode({
    ...PAIR,
    clean_answer: [" he", ' "him"'],
    alignment: [
      [0, 0],
      [2, 3],
    ],
  });
  expect(code).toContain(String.raw`    clean_answer=[" he", " \"him\""],`);
  expect(code).toContain("    alignment=[(0, 0), (2, 3)],\n)");
});

test.each([
  ['say "hi"\\n', String.raw`"say \"hi\"\\n"`],
  ["a\nb\tc", String.raw`"a\nb\tc"`],
  ["\u0000\u007f\u202e", String.raw`"\u0000\u007f\u202e"`],
  ["\u00e9\ud83d\ude00", '"\u00e9\ud83d\ude00"'],
  ["\ud83d", String.raw`"\ud83d"`],
])("%j is written as %s", (text, code) => {
  expect(pythonString(text)).toBe(code);
});

test("a literal reads back as its text, stays on its line and hides nothing", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const code = pythonString(text);
      // JSON's escapes are a part of Python's, with the same meaning.
      expect(JSON.parse(code)).toBe(text);
      expect(code).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
    }),
  );
});
