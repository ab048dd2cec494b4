// The requests about an opened head: patch it, attribute the answer to it, read its circuits. The answer opens under
// the head.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { canAsk, trait, useTrait, type ViewModel } from "../../lib/model";
import type { ArrayJson } from "../../lib/ndarray";
import type { PanelProps } from "../../lib/panel";
import { Cancel, ProgressBar } from "../../lib/status";
import { useStore } from "../../lib/store";
import type { OnHeadCircuitsRequest, OnPatchHeadRequest } from "../../wire/requests";
import { AttributionPanel } from "./attribution_panel";
import { CircuitsPanel } from "./circuits_panel";
import { PatchPanel } from "./patch_panel";
import type { Head, SideName } from "./result";
import { readInfo, type Scene } from "./scene";
import { type AttentionState, sameHead } from "./state";

export interface ActionProps extends PanelProps<AttentionState> {
  scene: Scene;
  head: number;
}

const ACTIONS: { name: ActionName; label: string; title: string }[] = [
  { name: "patch", label: "Patch", title: "How much the answer depends on this head" },
  { name: "attribute", label: "Logit attribution", title: "What this head writes towards the answer" },
  { name: "circuits", label: "OV and QK", title: "Which tokens its weights connect" },
];

const TRAITS = { patch: "head_patch", attribute: "head_attribution", circuits: "head_circuits" } as const;
const PANELS = { patch: PatchPanel, attribute: AttributionPanel, circuits: CircuitsPanel };

export function HeadActions(props: ActionProps) {
  const { model, state, scene, head } = props;
  const own = scene.attention.headAt(head);
  // If Python, another view or a saved page already has an answer, its panel starts open.
  const [open, setOpen] = useState<ActionName | null>(() => answered(model, own));
  const aside = useStore(state.aside);
  const asks = canAsk(model);
  const { actions } = readInfo(model);
  const whole = useRef<HTMLDivElement>(null);
  const answer = useAnswer(props, TRAITS[open ?? "patch"]);
  const [first] = useState({ open, answer });
  // What a click opens under a tall matrix, and its answer, may be below the screen.
  useEffect(() => {
    if (open && (open !== first.open || answer !== first.answer))
      whole.current?.scrollIntoView?.({ block: "nearest" });
  }, [open, answer]);
  if (!actions || (!asks && open === null)) return null;
  const Panel = open && PANELS[open];
  const mine = aside?.head && sameHead(aside.head, own) ? aside : null;
  return (
    <div class="hs-actions" data-hs="actions" ref={whole}>
      <div class="hs-controls">
        {ACTIONS.filter(({ name }) => asks || answerOf(model, name, own)).map(({ name, label, title }) => (
          <Button
            key={name}
            name={`action-${name}`}
            title={title}
            quiet={name !== open}
            expanded={name === open}
            onClick={() => setOpen(name === open ? null : name)}
          >
            {label}
          </Button>
        ))}
      </div>
      {Panel && <Panel key={open} {...props} />}
      {mine?.what === open && mine.problem === null && (
        <div class="hs-progress hs-small" data-hs="action-progress">
          <ProgressBar model={model} label="This head" />
          <Cancel name="cancel-action" rpc={state.rpc} />
        </div>
      )}
      {mine?.what === open && mine.problem !== null && (
        <p class="hs-error" role="alert" data-hs="action-error">
          {mine.problem}
        </p>
      )}
    </div>
  );
}

interface ActionPanelProps {
  name: ActionName;
  model: ViewModel;
  /** Why the request can't be made. */
  reason: string | null;
  /** The menus and fields of the request, with the button that sends it. */
  controls: ComponentChildren;
  hint: ComponentChildren;
  answer: ComponentChildren;
}

/** One of the requests, and its answer once that has come. */
export function ActionPanel({ name, model, reason, controls, hint, answer }: ActionPanelProps) {
  if (reason && !answer) {
    return (
      <p class="hs-quiet" data-hs="action-reason">
        {reason}
      </p>
    );
  }
  return (
    <div class="hs-panel" data-hs={`panel-${name}`}>
      {canAsk(model) && <div class="hs-controls">{controls}</div>}
      {answer || <p class="hs-quiet">{hint}</p>}
    </div>
  );
}

/** The answer about this head; answers about other heads are not shown here. */
export function useAnswer<T extends { layer: number; head: number }>(
  { model, scene, head }: ActionProps,
  name: (typeof TRAITS)[ActionName],
): T | null {
  const answer = useTrait<T | null | undefined>(model, name);
  return answer && sameHead([answer.layer, answer.head], scene.attention.headAt(head)) ? answer : null;
}

function answerOf(model: ViewModel, name: ActionName, head: Head): boolean {
  const answer = trait<{ layer: number; head: number } | null | undefined>(model, TRAITS[name]);
  return Boolean(answer && sameHead([answer.layer, answer.head], head));
}

function answered(model: ViewModel, head: Head): ActionName | null {
  return ACTIONS.find(({ name }) => answerOf(model, name, head))?.name ?? null;
}

export type ActionName = "patch" | "attribute" | "circuits";

export interface PatchJson {
  layer: number;
  head: number;
  activation: NonNullable<OnPatchHeadRequest["activation"]>;
  label: string;
  scale_text: string;
  direction: string;
  tokens: string[];
  /** The normalized effect at each position. */
  effects: ArrayJson;
  state: ArrayJson;
  /** The effect of patching the head at all positions at once. */
  all: number | null;
  warnings?: string[];
}

export interface AttributionJson {
  layer: number;
  head: number;
  quantity: string;
  answer: string | string[] | null;
  wrong_answer: string | string[] | null;
  note: string;
  sides: Partial<Record<SideName, AttributedJson>>;
  warnings?: string[];
}

export interface AttributedJson {
  value: number;
  total: number;
  rank: number;
  of: number;
  position: number;
  tokens: string[];
  by_source: ArrayJson | null;
}

export interface CircuitsJson {
  layer: number;
  head: number;
  circuit: NonNullable<OnHeadCircuitsRequest["circuit"]>;
  tokens: NonNullable<OnHeadCircuitsRequest["tokens"]>;
  pairs: TokenPair[];
  lowest: TokenPair[];
  note: string;
  copying: number | null;
}

export interface TokenPair {
  source: string;
  target: string;
  value: number;
}
