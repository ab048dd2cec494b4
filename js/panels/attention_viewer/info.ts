// What the menus offer: constant for one model.
import type { AttentionPatternsRequest, OnPatchHeadRequest } from "../../wire/requests";
import type { MarkName } from "./marks";
import type { ScaleName } from "./scale";

export type Kind = NonNullable<AttentionPatternsRequest["kind"]>;
type Patched = NonNullable<OnPatchHeadRequest["activation"]>;

interface Offer<Name extends string = string> {
  name: Name;
  label: string;
  help: string;
  reason?: string | null;
}

export interface AttentionInfo {
  /** null where there are only arrays. */
  model: object | null;
  kinds: Offer<Kind>[];
  scales: Offer<ScaleName>[];
  marks: Offer<MarkName>[];
  actions: {
    patch: Offer<Patched>[];
    patch_reason: string | null;
    attribution_reason: string | null;
    circuits_reason: string | null;
  } | null;
}
