// Builds every bundle into widgets/hookscope/static/. A view whose own code is over its budget fails the build, and so
// does the code that views share: a notebook stores a whole bundle for each widget that it shows.
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, "widgets", "hookscope", "static");
const KB = 1024;

/** The one list of bundles: each view's folder with the budget of its own code in KB, and the budgets of the saved
 *  page's script, without the views in it, of the workbench, which shows other widgets' views, of what views share:
 *  js/lib/ and Preact, and of the libraries that only one view needs. */
const { views, report, workbench, shared, libraries } = JSON.parse(
  await readFile(join(root, "js", "bundles.json"), "utf8"),
);
const OWN_KB = { ...views, report, workbench };
export const bundles = Object.keys(OWN_KB);

/** Where a bundle's own code is. */
const folderOf = (name) => (name in views ? `js/panels/${name}` : `js/${name}`);

/** The text of the module `hookscope:views`: an object of all views, by the name of their folder. */
export function viewsModule() {
  const names = Object.keys(views);
  const imports = names.map(
    (name) => `import ${name} from ${JSON.stringify(join(root, folderOf(name), "index"))};\n`,
  );
  return `${imports.join("")}export default { ${names.join(", ")} };\n`;
}

const viewsAsModule = {
  name: "views-as-module",
  setup(build) {
    build.onResolve({ filter: /^hookscope:views$/ }, ({ path }) => ({ path, namespace: "hookscope" }));
    build.onLoad({ filter: /.*/, namespace: "hookscope" }, () => ({
      contents: viewsModule(),
      resolveDir: root,
    }));
  },
};

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
  entryPoints: bundles.map((name) => ({ in: `./${folderOf(name)}/index`, out: name })),
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
  // Of d3-zoom's transitions nothing is used.
  alias: Object.fromEntries(
    ["d3-transition", "d3-interpolate"].map((name) => [name, "./js/panels/circuit_graph/no_transitions.ts"]),
  ),
  plugins: [cssAsText, viewsAsModule],
  metafile: true,
  sourcemap: "external",
  legalComments: "none",
  logLevel: "warning",
};

/** How much of each bundle comes from its own folder, from what views share and from other libraries, in bytes, with
 *  their budgets. A saved page has the libraries of all views. */
export function sizes({ outputs }) {
  return bundles.map((name) => {
    const [, { bytes, inputs }] = Object.entries(outputs).find(([path]) => path.endsWith(`/${name}.js`));
    const kb =
      name === "report" ? Object.values(libraries).reduce((a, b) => a + b, 0) : (libraries[name] ?? 0);
    const budgets = { ownBudget: OWN_KB[name] * KB, sharedBudget: shared * KB, librariesBudget: kb * KB };
    const size = { name, bytes, own: 0, shared: 0, libraries: 0, ...budgets };
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      if (path.startsWith(`${folderOf(name)}/`)) size.own += bytesInOutput;
      else if (isShared(path)) size.shared += bytesInOutput;
      else if (path.includes("node_modules/")) size.libraries += bytesInOutput;
    }
    return size;
  });
}

const isShared = (path) =>
  path.startsWith("js/lib/") || path === "js/jsx.ts" || path.includes("node_modules/preact/");

async function clearOldBundles() {
  await mkdir(out, { recursive: true });
  for (const file of await readdir(out)) {
    if (file.endsWith(".js") || file.endsWith(".js.map")) await rm(join(out, file));
  }
}

/** Prints each bundle's size; false if a budget is exceeded. */
function checkBudgets(metafile) {
  let fits = true;
  const share = (bytes, budget) => {
    fits &&= bytes <= budget;
    return `${(bytes / KB).toFixed(1)} of ${budget / KB} KB${bytes > budget ? " (TOO LARGE)" : ""}`;
  };
  for (const size of sizes(metafile)) {
    const parts = ["own", "shared", "libraries"]
      .filter((part) => size[part] > 0)
      .map((part) => `${part} ${share(size[part], size[`${part}Budget`])}`);
    console.log(`${size.name}.js  ${(size.bytes / KB).toFixed(1)} KB: ${parts.join(", ")}`);
  }
  return fits;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await clearOldBundles();
  if (process.argv.includes("--watch")) {
    const context = await esbuild.context({ ...options, logLevel: "info" });
    await context.watch();
  } else {
    const { metafile } = await esbuild.build(options);
    if (!checkBudgets(metafile)) process.exitCode = 1;
  }
}
