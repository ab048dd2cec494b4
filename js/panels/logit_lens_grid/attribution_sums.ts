// Sums of an attribution by layer and by head, and its largest components.
import { range } from "../../lib/range";
import type { Attribution } from "./attribution";

export type Part = "embed" | "attn" | "mlp" | "mixer" | "bias";

const PARTS: Record<string, Part> = {
  embed: "embed",
  pos_embed: "embed",
  attn: "attn",
  head: "attn",
  attn_bias: "attn",
  mlp: "mlp",
  neuron: "mlp",
  mixer: "mixer", // what a layer without attention writes
};

/** One step of the waterfall. */
export interface Step {
  label: string;
  part: Part;
  layer: number;
  value: number;
}

/** Embeddings, then each layer's attention (or its mixer) and MLP, then the biases. */
export function stepsOf(attribution: Attribution, values: Float32Array): Step[] {
  const sums = new Map<string, number>();
  values.forEach((value, i) => {
    const key = stepKey(attribution, i);
    sums.set(key, (sums.get(key) ?? 0) + value);
  });
  const step = (key: string, label: string, part: Part, layer: number): Step[] => {
    const value = sums.get(key);
    return value === undefined ? [] : [{ label, part, layer, value }];
  };
  return [
    ...step("embed", "embed", "embed", -1),
    ...range(attribution.layers).flatMap((layer) => [
      ...step(`attn ${layer}`, `attn ${layer}`, "attn", layer),
      ...step(`mixer ${layer}`, `mixer ${layer}`, "mixer", layer),
      ...step(`mlp ${layer}`, `mlp ${layer}`, "mlp", layer),
    ]),
    ...step("bias", "bias", "bias", -1),
  ];
}

function stepKey(attribution: Attribution, component: number): string {
  const part = PARTS[attribution.kindOf(component)] ?? "bias";
  return part === "embed" || part === "bias" ? part : `${part} ${attribution.layer[component]}`;
}

/** The columns of the table by head: the heads, or their sum, and the MLP. */
const columnsOf = ({ heads }: Attribution): number => Math.max(1, heads) + 1;

/** A component's cell in that table; null if it is not in the table. */
export function cellOf(attribution: Attribution, component: number): number | null {
  const kind = attribution.kindOf(component);
  const part = PARTS[kind];
  const layer = attribution.layer[component] ?? -1;
  if (layer < 0 || kind === "attn_bias" || (part !== "attn" && part !== "mlp")) return null;
  const columns = columnsOf(attribution);
  const head = kind === "attn" ? 0 : Math.max(0, attribution.index[component] ?? 0);
  return layer * columns + (part === "mlp" ? columns - 1 : head);
}

/** Layer by head, with the whole MLP as the last column. NaN if there is no such component. */
export function headTable(
  attribution: Attribution,
  values: Float32Array,
): { values: Float32Array; columns: number } {
  const columns = columnsOf(attribution);
  const table = new Float32Array(attribution.layers * columns).fill(Number.NaN);
  values.forEach((value, i) => {
    const at = cellOf(attribution, i);
    if (at !== null) table[at] = (Number.isNaN(table[at]) ? 0 : (table[at] ?? 0)) + value;
  });
  return { values: table, columns };
}

/** The components that write most towards the answer, and most away from it. */
export function extremes(values: Float32Array, most: number): { up: number[]; down: number[] } {
  const order = Array.from(values.keys()).sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0));
  const value = (i: number) => values[i] ?? 0;
  return {
    up: order.slice(0, most).filter((i) => value(i) > 0),
    down: order
      .slice(-most)
      .reverse()
      .filter((i) => value(i) < 0),
  };
}
