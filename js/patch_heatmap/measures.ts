// Another metric that the same sweep measured, shown without a kernel.
import { decodeFloats } from "../lib/ndarray";
import type { Sweep } from "./result";

/** The sweep as if it had been made to show `metric`. What is known of single pairs is known of one metric alone. */
export function withMeasure(sweep: Sweep, metric: string): Sweep {
  const { json } = sweep;
  const measure = json.measures?.[metric];
  if (!measure || metric === json.params.metric) return sweep;
  const { clean, corrupt } = measure.baselines;
  const values = decodeFloats(measure.values);
  const gap = (clean ?? Number.NaN) - (corrupt ?? Number.NaN);
  const zero = (json.params.direction === "denoise" ? corrupt : clean) ?? Number.NaN;
  const scaled = values.map((value) => (value - zero) / gap);
  return {
    ...sweep,
    json: { ...json, params: { ...json.params, metric }, baselines: measure.baselines, scale_text: "" },
    values,
    normalized: scaled.map((value) => (Number.isFinite(value) ? value : Number.NaN)),
    low: null,
    high: null,
    pairs: sweep.pairs && { ...sweep.pairs, agree: new Int32Array(), normalized: new Float32Array() },
  };
}
