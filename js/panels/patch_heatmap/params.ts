// The parameters of a sweep: as Python's traits have them, and as the view requests them.

import type { Field } from "../../lib/arguments";
import type { Choice } from "../../lib/controls";
import { trait, useTrait, type ViewModel } from "../../lib/model";
import type { RequestName } from "../../lib/rpc";
import type { Axis, Direction, ResultJson } from "./result";

/** The value that is patched in. */
export interface Value {
  kind: string;
  text?: string;
  by_position?: boolean;
  draws?: number;
  seed?: number;
  factor?: number;
  /** Not null if the user's own vector is added in place of the difference of the two runs. */
  vector?: unknown;
}

export interface Params {
  method: string;
  activation: string;
  axes: Axis[];
  metric: string;
  direction: Direction;
  value: Value;
  /** How many neighbouring layers are patched together. */
  window: number;
  /** The position at which the metric is read; null for the last. */
  at: number | null;
  /** The method's arguments without a control of their own, by name. */
  options: Record<string, unknown>;
}

export interface HeatmapInfo {
  methods?: (Choice & { name: string; arguments: string[] })[];
  /** `opens` names the parts that a cell of this map can be opened into. */
  activations: (Choice & { activation: string; axes: Axis[]; opens?: string | null })[];
  metrics: (Choice & { name: string })[];
  directions: (Choice & { name: Direction })[];
  values?: (Choice & { kind: string; fields: Field[] })[];
  /** null if the method does not have the argument. */
  window?: Field | null;
  at?: Field | null;
  /** Arguments without a control of their own, which are in `options`. */
  fields?: Field[];
}

export const PARAM_TRAITS = [
  "method",
  "activation",
  "axes",
  "metric",
  "direction",
  "value",
  "window",
  "at",
  "options",
] as const;
const PATCHING = "activation_patching";
export const OTHER_RUN: Value = { kind: "other" };

export function readParams(model: ViewModel): Params {
  return {
    method: trait<string | undefined>(model, "method") ?? PATCHING,
    activation: trait(model, "activation"),
    axes: trait(model, "axes"),
    metric: trait(model, "metric"),
    direction: trait(model, "direction"),
    value: trait<Value | undefined>(model, "value") ?? OTHER_RUN,
    window: trait<number | undefined>(model, "window") ?? 1,
    at: trait<number | null | undefined>(model, "at") ?? null,
    options: trait<Record<string, unknown> | undefined>(model, "options") ?? {},
  };
}

/** Whether the chosen method has an argument. */
export function takes({ methods = [] }: HeatmapInfo, { method }: Params, argument: string): boolean {
  return methods.find(({ name }) => name === method)?.arguments.includes(argument) ?? true;
}

/** All arguments by name; a request contains those that the method has. */
export function argumentsOf({ method: _, options, ...own }: Params): Record<string, unknown> {
  return { ...own, ...options };
}

/** The menu's methods; a user's own method has no known name here. */
export function methodNames({ methods = [] }: HeatmapInfo): RequestName[] {
  return methods.length > 0 ? methods.map(({ name }) => name as RequestName) : [PATCHING];
}

/** The title of the view: the method that computed the map. */
export function titleOf(method: string = PATCHING): string {
  const words = method.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The same parameters as a hook that watches the traits. */
export function useParams(model: ViewModel): Params {
  for (const name of PARAM_TRAITS) useTrait(model, name);
  return readParams(model);
}

/** Whether the value that is patched in depends on the pair's other run. */
export function fromOther({ kind, vector }: Value): boolean {
  return kind === "other" || (kind === "add" && !vector);
}

export function sameAxes(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return a?.join() === b?.join();
}

export function sameParams(a: Params, b: Params): boolean {
  return PARAM_TRAITS.every((name) => canonical(a[name]) === canonical(b[name]));
}

/** The menu entry that a map shows. */
export function entryOf({ activations }: HeatmapInfo, params: Pick<Params, "activation" | "axes">) {
  return activations.find(
    ({ activation, axes }) => activation === params.activation && sameAxes(axes, params.axes),
  );
}

type Measured = Pick<ResultJson, "measures" | "terms" | "metric_label"> & { params: { metric: string } };

export function metricLabel(info: HeatmapInfo, { params, measures, terms, metric_label }: Measured): string {
  if (terms && metric_label) return metric_label;
  const entry = info.metrics.find(({ name }) => name === params.metric);
  return entry?.label ?? measures?.[params.metric]?.label ?? params.metric;
}

/** A key that ignores the order of the fields and null fields; all vectors count as the same. */
function canonical(value: unknown): string {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return JSON.stringify(value);
  const given = Object.entries(value).filter(([, part]) => part !== null);
  return JSON.stringify(given.map(([name, part]) => [name, name === "vector" || part]).sort());
}
