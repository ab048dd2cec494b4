// A feature graph of four nodes on a page, whose edges and biases sum to what its feature is.
import { afterEach } from "vitest";
import featureGraph from "../../../js/panels/feature_graph";
import { MemoryModel } from "../../../js/report/memory_model";
import { SCHEMA_VERSION } from "../../../js/wire/requests";
import { arrayJson, modelWithKernel, mountWidget, settled } from "../helpers";

export const FEATURE = "1_40_2";
export const TOKEN = "E_7_1";
export const ODD = "<img src=x onerror=alert(1)>";

/** Feature 40 of layer 1 reads the token by 1.5, biases by 0.25 and what is not here by 0.25. */
export function makeGraph() {
  const ints = (data: number[]) => arrayJson("int32", [data.length], data);
  const floats = (data: number[]) => arrayJson("float32", [data.length], data);
  return {
    schema_version: 1,
    method: "attribution_graph",
    id: "graph-1",
    params: {},
    prompt: { text: "a b c", ids: [1, 7, 9], tokens: ["<bos>", " b", ODD] },
    n_layers: 2,
    transcoders: {},
    ids: [FEATURE, TOKEN, "bias", "3_5_2"],
    kind: ints([0, 2, 4, 5]),
    layer: ints([1, -1, -1, 2]),
    position: ints([2, 1, -1, 2]),
    feature: ints([40, -1, -1, -1]),
    values: floats([2, Number.NaN, Number.NaN, 3]),
    edges: arrayJson("float32", [2, 3], [0, 1.5, 0.25, 2, -0.5, 1.5]),
    rest: floats([0.25, 0]),
    traced: arrayJson("uint8", [2], [1, 1]),
    influence: floats([1, 0.5, 0, 1]),
    cumulative: floats([0.5, 1, 1, 0]),
    total_influence: 1.5,
    probabilities: floats([0.9]),
    logit_tokens: [" Oslo"],
    share: 1,
    replacement: 0.8,
    completeness: 0.9,
    active: 1,
    features_traced: 1,
    largest_gap: 0,
    provenance: { seconds: 0.1, complete: true, warnings: [] },
  };
}

export function makeDescription(change: Record<string, unknown> = {}) {
  const words = (sign: number) =>
    Array.from({ length: 8 }, (_, i) => ({ id: i, text: i === 0 ? ODD : ` w${i}`, value: sign * (8 - i) }));
  const example = (text: number, activations: number[]) => ({
    text,
    start: 3,
    at: 4,
    tokens: [" the first words", " are many", " here", " of", " Norway", "."],
    activations: arrayJson("float32", [6], activations),
  });
  return {
    schema_version: 1,
    method: "describe_feature",
    id: "described-1",
    params: {},
    layer: 1,
    feature: 40,
    promoted: words(1),
    suppressed: words(-1),
    excited_by: words(0.5),
    inhibited_by: [],
    note: "Not divided by the norm's scale.",
    examples: [example(0, [0, 0, 0, 0, 4, 1]), example(1, [0, 0, 0, 0, -2, 0])],
    texts: 2,
    positions: 1200,
    active: 3,
    at_start: 9.5,
    counts: arrayJson("int32", [2], [2, 1]),
    edges: arrayJson("float32", [3], [-2, 1, 4]),
    warnings: [],
    provenance: { complete: true },
    ...change,
  };
}

export function cardTraits(change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    schema: SCHEMA_VERSION,
    info: { model: { name: "tiny" } },
    status: "done",
    progress: { done: 0, total: 0, seconds_left: null },
    error: null,
    prompt: "a b c",
    layer_zero: "bottom",
    result: makeGraph(),
    description: makeDescription(),
    effects: null,
    changes: [],
    node_share: 1,
    edge_share: 1,
    shows: "graph",
    pinned: FEATURE,
    selection: { layer: 1, feature: 40, position: 2 },
    subgraph: [],
    supernodes: {},
    scores: null,
    names: {},
    edge: null,
    heads: null,
    score: null,
    ...change,
  };
}

let cleanup = () => {};
afterEach(() => {
  cleanup();
  cleanup = () => {};
});

export async function showCard(change: Record<string, unknown> = {}) {
  const kernel = modelWithKernel(cardTraits(change));
  const mounted = mountWidget(featureGraph, kernel.model);
  cleanup = mounted.cleanup;
  await settled();
  return { ...kernel, ...mounted };
}

/** As in a saved page. */
export async function cardWithoutKernel(change: Record<string, unknown> = {}) {
  const model = new MemoryModel(cardTraits(change));
  const mounted = mountWidget(featureGraph, model);
  cleanup = mounted.cleanup;
  await settled();
  return { model, ...mounted };
}
