// The displayed state: one side of the result on one scale, with the opened and pinned heads, the order and the marks.
import { useMemo } from "preact/hooks";
import { useRising, useSelection, useTrait, type ViewModel } from "../../lib/model";
import { useStore } from "../../lib/store";
import { type Palette, usePalette } from "../../lib/theme";
import type { AttentionPatternsRequest, OnPatchHeadRequest } from "../../wire/requests";
import { type Colors, colorsOf } from "./colors";
import { type MarkName, markedCells } from "./marks";
import { type Cell, cellOf, type Pointed } from "./pointed";
import type { Attention, Head, SideName } from "./result";
import { type ScaleName, Scaling } from "./scale";
import type { Role, Score } from "./scores";
import type { AttentionState } from "./state";

export interface Scene {
  attention: Attention;
  side: SideName;
  tokens: string[];
  scaling: Scaling;
  colors: Colors;
  palette: Palette;
  scores: Score[];
  roles: readonly Role[];
  /** The score by which heads are sorted; null for layer and head. */
  score: Score | null;
  layers: number[] | null;
  rising: boolean;
  marked: Marked[];
  /** The indices of the opened heads. */
  opened: number[];
  locked: Cell;
  /** The pinned head. */
  chosen: number | null;
  /** The head whose attention the text shows: the pinned head, or else the one opened last. */
  chief: number | null;
  pointed: Pointed;
}

const NO_ROLES: readonly Role[] = [];

export interface Marked {
  name: MarkName;
  /** A flat list of (position, source) pairs. */
  cells: Int32Array;
}

export function useScene(model: ViewModel, state: AttentionState, pointed: Pointed): Scene | null {
  const { value: attention } = useStore(state.shown);
  const scores = useStore(state.scores);
  const roles = useTrait<Role[] | null | undefined>(model, "head_roles") ?? NO_ROLES;
  const palette = usePalette();
  const asked = useTrait<SideName>(model, "side");
  const scale = useTrait<ScaleName>(model, "scale");
  const withoutFirst = useTrait<boolean | undefined>(model, "without_first") ?? false;
  const sort = useTrait<string>(model, "sort");
  const layers = useTrait<number[] | null | undefined>(model, "shown_layers") ?? null;
  const rising = useRising(model);
  const names = useTrait<MarkName[] | undefined>(model, "marks");
  const heads = useTrait<Head[] | undefined>(model, "opened");
  const selection = useSelection(model);
  const side = attention?.sideOf(asked) ?? asked;
  const signed = attention?.isSigned(side) ?? false;
  const named = attention?.json.colors;
  const colors = useMemo(() => colorsOf(palette, signed, named), [palette, signed, named]);
  const scaling = useMemo(
    () => attention && scalingOf(attention, side, scale, withoutFirst),
    [attention, side, scale, withoutFirst],
  );
  const marked = useMemo(() => marksOf(attention, side, names), [attention, side, names]);
  const opened = useMemo(
    () => (heads ?? []).map(([l, h]) => attention?.indexOf(l, h) ?? -1).filter((i) => i >= 0),
    [heads, attention],
  );
  const tokens = useMemo(() => attention?.tokensOf(side) ?? [], [attention, side]);
  const locked = useMemo(() => attention && cellOf(attention, side, selection), [selection, attention, side]);
  if (!attention || !scaling || !locked) return null;
  return {
    ...{
      attention,
      side,
      tokens,
      scaling,
      colors,
      palette,
      scores,
      roles,
      layers,
      rising,
      marked,
      opened,
      locked,
    },
    score: scores.find(({ name }) => name === sort) ?? null,
    chosen: locked.head,
    chief: locked.head ?? opened.at(-1) ?? null,
    pointed,
  };
}

export function scalingOf(
  attention: Attention,
  side: SideName,
  scale: ScaleName | undefined,
  withoutFirst = false,
): Scaling {
  const { high, low } = attention.json;
  const ends = { signed: attention.isSigned(side), high: high[side] ?? 1, low: low?.[side] };
  return new Scaling(scale ?? "linear", ends, withoutFirst);
}

function marksOf(
  attention: Attention | null,
  side: SideName,
  names: readonly MarkName[] | undefined,
): Marked[] {
  const ids = attention?.json.sides[side === "difference" ? "clean" : side]?.ids ?? [];
  return (names ?? []).map((name) => ({ name, cells: markedCells(name, ids) }));
}

export function readInfo(model: ViewModel): AttentionInfo {
  return model.get("info") as AttentionInfo;
}

export type Kind = NonNullable<AttentionPatternsRequest["kind"]>;
type Patched = NonNullable<OnPatchHeadRequest["activation"]>;

interface Offer<Name extends string = string> {
  name: Name;
  label: string;
  help: string;
  reason?: string | null;
}

interface AttentionInfo {
  /** null if the view shows bare arrays. */
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
