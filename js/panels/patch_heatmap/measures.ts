// Shows another metric that the same sweep measured, without a kernel.
import type { ResultJson } from "./result";

/** The metrics that a result can show. */
export function measuresOf(json: ResultJson | undefined): [name: string, label: string][] {
  const measures = Object.entries(json?.measures ?? {});
  return measures.filter(([, { normalized }]) => normalized).map(([name, { label }]) => [name, label]);
}

/** The result as if it had been made to show `metric`. */
export function ofMeasure(json: ResultJson, metric: string): ResultJson {
  const { measures = {}, params, provenance } = json;
  const chosen = measures[metric];
  if (!chosen?.normalized) return json;
  const own = measures[params.metric]?.warnings ?? [];
  const others = (provenance.warnings ?? []).filter((warning) => !own.includes(warning));
  const warnings = [...others, ...(chosen.warnings ?? [])];
  // A measure has the same fields as the result has for the metric that it shows.
  return { ...json, ...chosen, params: { ...params, metric }, provenance: { ...provenance, warnings } };
}
