// What a text field can't hold is shown and kept.
import { afterEach, expect, test } from "vitest";
import { holdable } from "../../js/lib/field";
import promptPairEditor from "../../js/panels/prompt_pair_editor";
import { editorTraits, modelWithKernel, mountWidget, PAIR, part, settled, write } from "./helpers";

let cleanup = () => {};
afterEach(() => cleanup());

test("a carriage return is a symbol in the field, and comes back as it was", () => {
  const { held, textOf } = holdable("a\r\nb\r");
  expect(held).toBe("a\u240d\nb\u240d");
  expect(textOf(`${held}c`)).toBe("a\r\nb\rc");
});

test("a text that has the symbol itself keeps it", () => {
  expect(holdable("\u240d").textOf("\u240dx")).toBe("\u240dx");
  const { held, textOf } = holdable("\u240d\r");
  expect(textOf(held)).toBe("\u240d\r");
});

test("typing in a prompt changes nothing else of it", async () => {
  const pair = { ...PAIR, clean: "one\r\nNorway", corrupt: "one\r\nSweden" };
  const { model, sent } = modelWithKernel(editorTraits({ pair }));
  const mounted = mountWidget(promptPairEditor, model);
  cleanup = mounted.cleanup;
  await settled();
  const field = part<HTMLTextAreaElement>(mounted.el, "input-clean");
  expect(field.value).toBe("one\u240d\nNorway");
  expect(field.title).toContain("carriage returns");
  write(mounted.el, "clean", `${field.value} is`);
  part(mounted.el, "input-clean").dispatchEvent(
    new KeyboardEvent("keydown", { key: "Enter", bubbles: true }),
  );
  expect(sent.at(-1)?.params).toMatchObject({ pair: { ...pair, clean: "one\r\nNorway is" } });
});
