import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** As in js/build.mjs: style sheets are text. */
const cssAsText = {
  name: "css-as-text",
  enforce: "pre" as const,
  load(id: string) {
    if (!id.endsWith(".css")) return null;
    return { code: `export default ${JSON.stringify(readFileSync(id, "utf8"))}`, moduleType: "js" as const };
  },
};

export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  plugins: [cssAsText],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  test: {
    environment: "happy-dom",
    include: ["tests/js/**/*.test.{ts,tsx}"],
    restoreMocks: true,
    // A limit for what hangs, not for a machine under load.
    testTimeout: 60_000,
  },
});
