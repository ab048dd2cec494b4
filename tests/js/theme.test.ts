import { afterEach, expect, test, vi } from "vitest";
import { watchTheme } from "../../js/lib/theme";
import { settled } from "./helpers";

afterEach(() => {
  document.body.replaceChildren();
  document.body.removeAttribute("style");
  document.body.removeAttribute("class");
});

function rootOn(ground: string) {
  document.body.style.backgroundColor = ground;
  const root = document.body.appendChild(document.createElement("div"));
  const changed = vi.fn();
  return { root, changed, stop: watchTheme(root, changed) };
}

test("where the host has no variables, the ground behind decides", () => {
  const dark = rootOn("rgb(20, 22, 24)");
  expect(dark.root.style.getPropertyValue("--hs-host-bg")).toBe("rgb(20, 22, 24)");
  dark.stop();
});

test("a change of the host's theme is noticed, and no longer after the end", async () => {
  const { changed, stop } = rootOn("rgb(255, 255, 255)");
  const before = changed.mock.calls.length;
  document.body.className = "dark";
  await settled();
  expect(changed.mock.calls.length).toBe(before + 1);
  stop();
  document.body.className = "light";
  await settled();
  expect(changed.mock.calls.length).toBe(before + 1);
});
