// Builds every bundle into widgets/hookscope/static/. A bundle that is over its budget fails the build:
// bundles are stored in every notebook that shows a widget.
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, "widgets", "hookscope", "static");
const KB = 1024;

export const bundles = [
  { name: "prompt_pair_editor", entry: "js/panels/prompt_pair_editor/index.ts", budget: 80 * KB },
  { name: "patch_heatmap", entry: "js/panels/patch_heatmap/index.ts", budget: 80 * KB },
  { name: "logit_lens_grid", entry: "js/panels/logit_lens_grid/index.ts", budget: 112 * KB },
  { name: "attention_viewer", entry: "js/panels/attention_viewer/index.ts", budget: 100 * KB },
  { name: "circuitsvis", entry: "js/panels/circuitsvis/index.ts", budget: 64 * KB },
  { name: "report", entry: "js/report/index.ts", budget: 256 * KB },
];

/** Style sheets go into the bundles as minified text. */
const cssAsText = {
  name: "css-as-text",
  setup(build) {
    build.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const { code } = await esbuild.transform(source, { loader: "css", minify: true, target: "chrome120" });
      // esbuild leaves the values of variables and of some shorthands as they are written.
      const contents = code.trim().replace(/ ?([,:/]) /g, "$1");
      return { contents, loader: "text", watchFiles: [path] };
    });
  },
};

export const options = {
  absWorkingDir: root,
  entryPoints: bundles.map(({ name, entry }) => ({ in: entry, out: name })),
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  charset: "utf8",
  // What tsconfig.json says of elements would come before the next lines.
  tsconfigRaw: {},
  jsx: "transform",
  jsxFactory: "h",
  jsxFragment: "Fragment",
  inject: ["js/jsx.ts"],
  plugins: [cssAsText],
  define: { "Number.NaN": "NaN" }, // shorter
  sourcemap: "external",
  legalComments: "none",
  logLevel: "warning",
};

async function clearOldBundles() {
  await mkdir(out, { recursive: true });
  for (const file of await readdir(out)) {
    if (file.endsWith(".js") || file.endsWith(".js.map")) await rm(join(out, file));
  }
}

async function checkBudgets() {
  let over = false;
  for (const { name, budget } of bundles) {
    const { size } = await stat(join(out, `${name}.js`));
    const fits = size <= budget;
    over ||= !fits;
    console.log(`${name}.js  ${(size / KB).toFixed(1)} KB of ${budget / KB} KB${fits ? "" : "  TOO LARGE"}`);
  }
  return !over;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await clearOldBundles();
  if (process.argv.includes("--watch")) {
    const context = await esbuild.context({ ...options, logLevel: "info" });
    await context.watch();
  } else {
    await esbuild.build(options);
    if (!(await checkBudgets())) process.exitCode = 1;
  }
}
