// The runs of a circuit: its faithfulness under every ablation, and that of circuits of every size.
import { type ArrayJson, decodeFloats, decodeInts } from "../../lib/ndarray";
import type { ResultEnvelope } from "../../lib/schema";

export interface Setting {
  ablation: string;
  level: string;
  positions: string;
}

export interface RobustnessJson extends ResultEnvelope {
  ablations: string[];
  levels: string[];
  positions: string[];
  counts: ArrayJson;
  totals: ArrayJson;
  /** Why an ablation or a choice of positions could not be run, by its name. */
  reasons: Record<string, string>;
  metric_label: string;
  circuit: ArrayJson;
  low: ArrayJson;
  high: ArrayJson;
  complement: ArrayJson;
  provenance: { seconds?: number | null; complete?: boolean };
}

export interface Faith {
  /** 1 where the circuit gives the model's own metric, 0 where it gives that of a run in which all is ablated. */
  f: number;
  low: number;
  high: number;
  /** Of everything but the circuit. */
  rest: number;
}

export interface Robustness {
  json: RobustnessJson;
  counts: Int32Array;
  of(setting: Setting): Faith;
}

export function decodeRobustness(json: RobustnessJson): Robustness {
  const [circuit, low, high, rest] = [json.circuit, json.low, json.high, json.complement].map(decodeFloats);
  return {
    json,
    counts: decodeInts(json.counts),
    of({ ablation, level, positions }) {
      const [a, l, p] = [
        json.ablations.indexOf(ablation),
        json.levels.indexOf(level),
        json.positions.indexOf(positions),
      ];
      const at = (a * json.levels.length + l) * json.positions.length + p;
      const read = (array: Float32Array | undefined) => array?.[at] ?? Number.NaN;
      return { f: read(circuit), low: read(low), high: read(high), rest: read(rest) };
    },
  };
}

export interface FaithfulnessJson extends ResultEnvelope {
  params: Partial<Setting>;
  sizes: number[];
  curves: string[];
  counts: ArrayJson;
  total: number;
  level: string;
  cpr: number | null;
  cmd: number | null;
  random_cpr: number | null;
  areas: Record<"cpr" | "cmd", [number | null, number | null]>;
  mean: ArrayJson;
  low: ArrayJson;
  high: ArrayJson;
  jaccard: number[] | null;
  provenance: { seconds?: number | null };
}

export interface Curve {
  name: string;
  values: Float32Array;
  low: Float32Array;
  high: Float32Array;
}

export interface Curves {
  json: FaithfulnessJson;
  curves: Curve[];
}

export function decodeCurves(json: FaithfulnessJson): Curves {
  const [mean, low, high] = [json.mean, json.low, json.high].map(decodeFloats);
  const n = json.sizes.length;
  const row = (array: Float32Array | undefined, i: number) =>
    (array ?? new Float32Array()).subarray(i * n, i * n + n);
  const curves = json.curves.map((name, i) => ({
    name,
    values: row(mean, i),
    low: row(low, i),
    high: row(high, i),
  }));
  return { json, curves };
}
