import { expect, test } from "vitest";
import { captionOf } from "../../js/lib/picture_caption";

const provenance = { model: { name: "gpt2" } };
const sides = { clean: { text: "The capital of Norway is" }, corrupt: { text: "The capital of Sweden is" } };

test("a picture names the model, the answers and every prompt", () => {
  const pair = { clean_answer: " Oslo", corrupt_answer: [" Stockholm", " Uppsala"] };
  expect(captionOf({ provenance, sides, params: { pair } })).toEqual([
    "gpt2 \u00b7 clean answer \u201c\u2423Oslo\u201d \u00b7 corrupt answer \u201c\u2423Stockholm\u201d or \u201c\u2423Uppsala\u201d",
    expect.stringContaining("clean \u201cThe"),
    expect.stringContaining("corrupt \u201cThe"),
  ]);
});

test("a result with answers of its own names those, and what is not known is left out", () => {
  const prompt = { prompt: { text: "Oslo" } };
  expect(captionOf({ provenance, sides: prompt, params: {} }, [" is", null])).toEqual([
    "gpt2 \u00b7 answer \u201c\u2423is\u201d",
    "prompt \u201cOslo\u201d",
  ]);
  expect(captionOf({ sides: prompt, params: { pair: null } })).toEqual(["prompt \u201cOslo\u201d"]);
  expect(captionOf({ sides: { prompt: { text: "" } }, params: {} })).toEqual([]);
});
