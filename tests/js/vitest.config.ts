import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { viewsModule } from "../../js/build.mjs";

/** As in js/build.mjs: style sheets are text. */
const cssAsText = {
  name: "css-as-text",
  enforce: "pre" as const,
  load(id: string) {
    if (!id.endsWith(".css")) return null;
    return { code: `export default ${JSON.stringify(readFileSync(id, "utf8"))}`, moduleType: "js" as const };
  },
};

const viewsAsModule = {
  name: "views-as-module",
  resolveId: (id: string) => (id === "hookscope:views" ? `\0${id}` : null),
  load: (id: string) => (id === "\0hookscope:views" ? viewsModule() : null),
};

export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  plugins: [cssAsText, viewsAsModule],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  test: {
    environment: "happy-dom",
    include: ["tests/js/**/*.test.{ts,tsx}"],
    restoreMocks: true,
    // A limit for what hangs, not for a machine under load.
    testTimeout: 60_000,
  },
});
