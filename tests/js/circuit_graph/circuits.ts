// A circuit small enough to reason about: 2 layers of 2 heads, and in layer 1 both heads read one key and one value.
import type { GraphJson } from "../../../js/panels/circuit_graph/graph";
import type { PathJson } from "../../../js/panels/circuit_graph/paths";
import type { FaithfulnessJson, RobustnessJson } from "../../../js/panels/circuit_graph/runs";
import type { Outline, ScrubbingJson } from "../../../js/panels/circuit_graph/scrubbing";
import type { Compared, LeftJson, SearchJson } from "../../../js/panels/circuit_graph/search";
import { COMPUTED, NOT_COMPUTED, SCHEMA_VERSION, UNCHANGED } from "../../../js/wire/requests";
import { arrayJson, PAIR } from "../helpers";

export const SENDERS = ["input", "a0.h0", "a0.h1", "m0", "a1.h0", "a1.h1", "m1"];
export const NODES = [...SENDERS, "logits"];
export const RECEIVERS = [
  ...["a0.h0<q>", "a0.h1<q>", "a0.h0<k>", "a0.h1<k>", "a0.h0<v>", "a0.h1<v>", "m0"],
  ...["a1.h0<q>", "a1.h1<q>", "a1.h0<k>", "a1.h0<v>", "m1", "logits"],
];
export const READERS = [[1], [2], [1], [2], [1], [2], [3], [4], [5], [4, 5], [4, 5], [6], []];
/** What the model computes, in order; the heads of a layer are one stage, and read only what earlier stages wrote. */
const STAGES = ["input", "a0", "m0", "a1", "m1", "logits"];
const stageOf = (name: string) => STAGES.findIndex((stage) => name.startsWith(stage));
export const ALL_EDGES = SENDERS.flatMap((from) =>
  RECEIVERS.filter((to) => stageOf(from) < stageOf(to)).map((to): [string, string] => [from, to]),
);

/** The largest first. m0 leads into the circuit only with the edge after it, and nothing reads m1. */
export const EDGES: [string, string, number][] = [
  ["input", "a0.h1<v>", 5],
  ["a0.h1", "a1.h0<k>", -4],
  ["a1.h1", "logits", 3],
  ["m0", "logits", 2],
  ["input", "m0", 1],
  ["a1.h0", "m1", 0.5],
  ["input", "a1.h1<q>", 0.25],
];
export const GAP = 10;

export function makeGraph(change: Partial<GraphJson> = {}, edges = EDGES): GraphJson {
  const shape = [edges.length];
  const indices = (names: string[], at: 0 | 1) =>
    arrayJson(
      "int32",
      shape,
      edges.map((edge) => names.indexOf(edge[at])),
    );
  return {
    schema_version: 1,
    method: "edge_attribution",
    id: "graph-1",
    params: { rules: "gradient", direction: "noise", metric: "logit_diff", pair: PAIR },
    senders: SENDERS,
    receivers: RECEIVERS,
    readers: READERS,
    parallel: false,
    metric_label: "logit difference",
    baselines: { clean: 6, corrupt: -4 },
    edges: ALL_EDGES.length,
    size: ALL_EDGES.length,
    strongest: {
      sender: indices(SENDERS, 0),
      receiver: indices(RECEIVERS, 1),
      score: arrayJson(
        "float32",
        shape,
        edges.map(([, , score]) => score),
      ),
    },
    provenance: { seconds: 0.2, model: { name: "hookscope-tiny" } },
    ...change,
  };
}

/** A step of a trail; senders that are not named were not run, and those with null change nothing. */
export function makePath(receivers: string[], carried: Record<string, number | null>): PathJson {
  const shape = [SENDERS.length];
  const state = SENDERS.map((name) =>
    name in carried ? (carried[name] === null ? UNCHANGED : COMPUTED) : NOT_COMPUTED,
  );
  return {
    id: `path ${receivers}`,
    receivers,
    senders: SENDERS,
    carried: arrayJson(
      "float32",
      shape,
      SENDERS.map((name) => carried[name] ?? Number.NaN),
    ),
    state: arrayJson("uint8", shape, state),
    seconds: 0.1,
  };
}

const LOGITS_STEP = { "a1.h1": 0.5, m0: 0.3, "a0.h1": 0.2, m1: 0.01, "a0.h0": 0, "a1.h0": 0, input: null };
const HEAD_STEP = {
  "a0.h1": -0.4,
  m0: 0.1,
  input: 0.02,
  "a0.h0": null,
  "a1.h0": null,
  "a1.h1": null,
  m1: null,
};
export const TRAIL = [["logits"], ["a1.h1"]];
export const PATHS = [makePath(["logits"], LOGITS_STEP), makePath(["a1.h1"], HEAD_STEP)];

const ABLATIONS = ["counterfactual", "mean", "zero", "resample"];
const LEVELS = ["edge", "node"];
const POSITIONS = ["all", "differing", "last"];
/** Why two ablations were not run. */
const REASONS = { mean: "One prompt has no mean.", resample: "There is no other prompt." };

/** Cell i of counterfactual and zero is i / 20 of what the model does, everything but the circuit -i / 100. */
export function makeRobustness(change: Partial<RobustnessJson> = {}): RobustnessJson {
  const shape = [4, 2, 3];
  const cells = (of: (i: number) => number) =>
    arrayJson(
      "float32",
      shape,
      Array.from({ length: 24 }, (_, i) => (Math.floor(i / 6) % 2 === 0 ? of(i) : Number.NaN)),
    );
  return {
    schema_version: 1,
    method: "circuit_robustness",
    id: "runs-1",
    ablations: ABLATIONS,
    levels: LEVELS,
    positions: POSITIONS,
    counts: arrayJson("int32", [2], [5, 4]),
    totals: arrayJson("int32", [2], [38, 7]),
    reasons: REASONS,
    metric_label: "logit difference",
    circuit: cells((i) => i / 20),
    low: cells((i) => i / 20 - 0.1),
    high: cells((i) => i / 20 + 0.1),
    complement: cells((i) => -i / 100),
    provenance: { seconds: 0.2, complete: true },
    ...change,
  };
}

export const SIZES = [0.01, 0.1, 1];
const CURVES = {
  signed: [0, 0.5, 1],
  absolute: [0.25, 0.75, 1],
  complement: [1, 0.5, 0],
  "random 0": [0, 0, 1],
  "random 1": [0, 0.1, 1],
};

export function makeCurves(change: Partial<FaithfulnessJson> = {}): FaithfulnessJson {
  const names = Object.keys(CURVES);
  const shape = [names.length, SIZES.length];
  const mean = arrayJson("float32", shape, Object.values(CURVES).flat());
  return {
    schema_version: 1,
    method: "faithfulness",
    id: "curves-1",
    params: { ablation: "counterfactual", level: "edge", positions: "all" },
    sizes: SIZES,
    curves: names,
    counts: arrayJson("int32", shape, Array(15).fill(1)),
    total: 38,
    level: "edge",
    cpr: 0.58,
    cmd: 0.12,
    random_cpr: 0.25,
    areas: { cpr: [0.5, 0.6], cmd: [null, null] },
    mean,
    low: mean,
    high: mean,
    jaccard: null,
    provenance: { seconds: 0.1 },
    ...change,
  };
}

export const THRESHOLDS = [0.1, 0.5, 2];
/** What a search for three thresholds has found: the score is the threshold at which an edge goes, or what it costs. */
const SEARCHED: [string, string, number][] = [
  ["input", "a0.h1<v>", 5],
  ["a1.h1", "logits", 3],
  ["a0.h1", "a1.h0<k>", 2],
  ["input", "m0", 0.5],
];
/** By threshold, which of these are in the circuit. */
const IN_CIRCUIT = [0b1111, 0b0111, 0b0011];

export function makeSearch(change: Partial<SearchJson> = {}): SearchJson {
  const graph = makeGraph({}, SEARCHED);
  return {
    ...graph,
    method: "acdc",
    id: "search-1",
    params: { ...graph.params, metric: "logit_diff", start: null },
    metric_label: "threshold at which an edge goes, loss of logit difference",
    thresholds: THRESHOLDS,
    values: [5.5, 5, 3],
    sizes: [4, 3, 2],
    circuits: arrayJson("uint8", [3, 1], IN_CIRCUIT),
    provenance: { seconds: 0.2, undecided: 0 },
    ...change,
  };
}

/** Half way: two edges are left that were tried, and one that was not. */
export function makeLeft(change: Partial<LeftJson> = {}): LeftJson {
  const flat = ([from, to]: [string, string]) =>
    SENDERS.indexOf(from) * RECEIVERS.length + RECEIVERS.indexOf(to);
  const [stays, waits] = [
    [
      ["a1.h1", "logits"],
      ["m0", "logits"],
    ],
    [["input", "m0"]],
  ] as [string, string][][];
  const bytes = new Uint8Array(Math.ceil((SENDERS.length * RECEIVERS.length) / 8));
  for (const at of [...(stays ?? []), ...(waits ?? [])].map(flat))
    bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (1 << (at & 7));
  return {
    id: "search-1",
    at: 2,
    size: 3,
    tried: 20,
    kept: arrayJson("uint8", [bytes.length], [...bytes]),
    stays: arrayJson("int32", [2], (stays ?? []).map(flat)),
    cost: arrayJson("float32", [2], [3, 4]),
    ...change,
  };
}

export const COMPARED: Compared[] = [
  {
    name: "other",
    sizes: [5, 3, 1],
    values: [5.75, 5, 2],
    jaccard: [0.5, 1, 0.5],
    alone: [
      [1, 2],
      [0, 0],
      [1, 0],
    ],
  },
  {
    name: "top",
    sizes: [4, 3, 2],
    values: [1, 0.5, 0.25],
    jaccard: [0.25, 0.5, 0],
    alone: [
      [2, 2],
      [1, 1],
      [2, 2],
    ],
  },
];

const entry = (name: string) => ({ name, label: name, help: `about ${name}`, reason: null });
const field = (name: string, choices: string[]) => ({
  name,
  label: name,
  help: `about ${name}`,
  type: choices.length > 0 ? "choice" : "integer",
  choices: choices.map(entry),
  least: 0,
  most: 1000,
  default: choices[0] ?? 0,
  applies: null,
});
export const INFO = {
  model: { name: "hookscope-tiny" },
  metrics: [{ name: "logit_diff", label: "logit difference", help: "" }, entry("logit")],
  given: false,
  rules: field("rules", ["gradient", "relp"]),
  ig_steps: field("ig_steps", []),
  direction: field("direction", ["denoise", "noise"]),
  mlps: field("mlps", ["frozen", "recomputed"]),
  search: {
    metric: "logit_diff",
    thresholds: { logit_diff: 0.1, logit: 0.25 },
    order: field("order", ["reverse", "random"]),
    ablation: field("ablation", ["counterfactual", "resample"]),
    seed: field("seed", []),
  },
  questions: ["patch", "paths", "ablate", "faithfulness"].map(entry),
  ablations: ABLATIONS.map(entry),
  levels: LEVELS.map(entry),
  positions: POSITIONS.map(entry),
  features: ["exact", "token", "answer", "vowels", "anything"].map(entry),
  at_position: ["token"],
  scrubbing: {
    loss: field("metric", ["log_prob", "prob"]),
    sides: field("sides", ["clean", "both"]),
    others: field("others", ["together", "separately"]),
    unscrub: field("unscrub", ["hypothesis", "all", "none"]),
    samples: field("samples", []),
    seed: field("seed", []),
  },
};

export function circuitTraits(change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    schema: SCHEMA_VERSION,
    info: INFO,
    status: "done",
    progress: { done: 1, total: 1, seconds_left: 0 },
    error: null,
    selection: null,
    layer_zero: "bottom",
    rules: "gradient",
    ig_steps: 0,
    direction: "noise",
    metric: "logit_diff",
    mlps: "frozen",
    edges: 5,
    tab: "edges",
    trail: [["logits"]],
    paths: [],
    robustness: null,
    setting: null,
    edits: [],
    groups: {},
    chosen: [],
    question: null,
    answer: null,
    kept: null,
    kept_name: "",
    shows: "circuit",
    faithfulness: null,
    search: null,
    threshold: null,
    source: "edges",
    acdc: null,
    searching: null,
    compared: [],
    hypothesis_edges: null,
    agree: {},
    loss: "log_prob",
    sides: "clean",
    others: "together",
    unscrub: "hypothesis",
    samples: 2,
    seed: 0,
    outline: null,
    scrubbing: null,
    said: {},
    result: makeGraph(),
    code: "import interp_backend as ib",
    ...change,
  };
}

export const searchTraits = (change: Record<string, unknown> = {}) =>
  circuitTraits({ tab: "acdc", acdc: makeSearch(), compared: COMPARED, ...change });
export const pathTraits = (change: Record<string, unknown> = {}) =>
  circuitTraits({ tab: "paths", trail: TRAIL, paths: PATHS, ...change });
export const SETTING = { ablation: "counterfactual", level: "edge", positions: "all" };
export const faithTraits = (change: Record<string, unknown> = {}) =>
  circuitTraits({ tab: "faithfulness", robustness: makeRobustness(), ...change });
export const curveTraits = (change: Record<string, unknown> = {}) =>
  faithTraits({ setting: SETTING, faithfulness: makeCurves(), ...change });

export const AGREE = { m0: "answer", "a0.h1": "token@1" };
const HYPOTHESIS = {
  edges: ["m0->logits", "a1.h1->logits", "a0.h1->a1.h1<k>", "input->m0", "input->a0.h1<v>"],
  agree: AGREE,
};
export const SCRUBBED_NODES = ["input", "a0.h1", "m0", "a1.h1"];
const TEXTS = [
  ["A", " red", " cat"],
  ["A", " red", " dog"],
  ["An", " old", " cat"],
];

export function makeOutline(change: Partial<Outline> = {}): Outline {
  return {
    hypothesis: HYPOTHESIS,
    nodes: SCRUBBED_NODES,
    tree: 6,
    data: 3,
    problem: null,
    fits: null,
    tokens: TEXTS[0] ?? [],
    examples: { token: TEXTS[0] ?? [], answer: [" meows"], vowels: ["3"] },
    ...change,
  };
}

/** Sample 0 draws the next datum everywhere below the logits, sample 1 the one after it. */
export function makeScrubbing(change: Partial<ScrubbingJson> = {}): ScrubbingJson {
  const node = (path: string, reader: number, agrees: string, whole = true, named = true) => ({
    path: `logits${path && "/"}${path}`,
    node: path.split("/").at(-1) || "logits",
    ...{ reader, agrees, whole, named },
  });
  const tree = [
    node("", -1, "exact", false),
    node("a1.h1", 0, "exact", false),
    node("m0", 0, "answer"),
    node("others", 0, "anything", true, false),
    node("a1.h1/a1.h1<k>", 1, "exact", false),
    node("a1.h1/a1.h1<k>/a0.h1", 4, "token@1"),
  ];
  const draws = [1, 2].flatMap((by) =>
    tree.flatMap((_, i) => [0, 1, 2].map((at) => (i ? (at + by) % 3 : at))),
  );
  const shares = (numbers: number[]) => arrayJson("float32", [numbers.length], numbers);
  return {
    schema_version: 1,
    method: "causal_scrubbing",
    id: "scrub-1",
    scrubbed: HYPOTHESIS,
    nodes: [...SCRUBBED_NODES, "a0.h0"],
    metric_label: "log-probability",
    params: { samples: 2 },
    recovered: 72.25,
    low: 68,
    high: 75.5,
    constant: 31,
    baselines: { model: -0.1, scrubbed: -1.5, shuffled: -6, constant: -4 },
    done: 3,
    shares: shares([20, 5, -4, 1, 12]),
    share_low: shares([15, 2, -6, 0, 10]),
    share_high: shares([25, 8, -1, 2, 14]),
    tree,
    data: TEXTS.map((tokens) => ({ text: tokens.join(""), tokens })),
    sources: arrayJson("int32", [2, tree.length, 3], draws),
    provenance: { seconds: 1.5, complete: true, warnings: [] },
    ...change,
  };
}

export const SAID = { answer: [" meows", " barks", " meows"], "token@1": [" red", " red", " old"] };
export const scrubTraits = (change: Record<string, unknown> = {}) =>
  circuitTraits({
    ...{ tab: "scrubbing", edges: 7, agree: AGREE, said: SAID },
    outline: makeOutline(),
    scrubbing: makeScrubbing(),
    ...change,
  });
