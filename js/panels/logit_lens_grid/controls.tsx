// The controls above the grid: side, colour, stream, lens, followed tokens, and the progress of the run.
import { useState } from "preact/hooks";
import { Button, type Choice, NameMenu } from "../../lib/controls";
import { InlineField, typedToken } from "../../lib/field";
import { canAsk, useTrait, type ViewModel, write } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { type ShownSide, SideMenu } from "../../lib/side_menu";
import { RunState } from "../../lib/status";
import { useStore } from "../../lib/store";
import { Token, visibleText } from "../../lib/tokens";
import { type Measure, needsTarget } from "./measures";
import type { Shown } from "./sides";
import type { LensState } from "./state";

export interface LensInfo {
  model: unknown;
  streams: (Choice & { name: string })[];
  lenses: (Choice & { name: string })[];
  colors: (Choice & { name: Measure })[];
}

type ControlsProps = PanelProps<LensState>;

export function LensControls({ model, state, shown }: ControlsProps & { shown: Shown | null }) {
  const info = useTrait<LensInfo>(model, "info");
  const color = useTrait<Measure>(model, "color");
  const side = useTrait<ShownSide>(model, "side");
  const { value: lens } = useStore(state.shown);
  const followed = (lens?.json.targets.length ?? 0) > 0;
  const colors = info.colors.map((entry) => {
    return needsTarget(entry.name) && !followed ? { ...entry, reason: "follow a token first" } : entry;
  });
  return (
    <div class="hs-controls" data-hs="controls">
      <SideMenu model={model} side={shown?.name ?? side} />
      <NameMenu
        name="color"
        label="Colour"
        choices={colors}
        value={color}
        onChoose={(name) => write(model, "color", name)}
      />
      <ReadMenus model={model} state={state} />
      <Follow model={model} state={state} />
      {shown && <Columns model={model} shown={shown} />}
      <RunState
        model={model}
        rpc={state.rpc}
        label="Reading"
        took={lens?.json.provenance.seconds}
        onRun={() => state.run({})}
      />
    </div>
  );
}

function ReadMenus({ model, state }: ControlsProps) {
  const info = useTrait<LensInfo>(model, "info");
  // Watched so that the menus follow both requests made here and changes from Python.
  useStore(state.requested);
  useTrait(model, "stream");
  useTrait(model, "lens");
  const choice = state.choice();
  const { streams, lenses } = info;
  const menus = [
    { name: "stream", label: "Stream", choices: streams, offered: true },
    {
      name: "lens",
      label: "Lens",
      choices: lenses,
      offered: lenses.some((lens) => lens.name !== "logit" && !lens.reason),
    },
  ] as const;
  if (!canAsk(model)) {
    return (
      <span class="hs-muted" data-hs="params">
        {streams.find(({ name }) => name === choice.stream)?.label ?? choice.stream}
      </span>
    );
  }
  return (
    <>
      {menus.map(
        ({ name, label, choices, offered }) =>
          offered && (
            <NameMenu
              key={name}
              {...{ name, label, choices }}
              value={choice[name]}
              onChoose={(chosen) => state.run({ [name]: chosen })}
            />
          ),
      )}
    </>
  );
}

function Columns({ model, shown }: { model: ViewModel; shown: Shown }) {
  const columns = useTrait<readonly [number, number] | null>(model, "columns");
  if (!columns) return null;
  return (
    <Button name="all-columns" title="Show every column" onClick={() => write(model, "columns", null)}>
      Show all {shown.first.positions}
    </Button>
  );
}

function Follow({ model, state }: { model: ViewModel; state: LensState }) {
  const [typed, setTyped] = useState("");
  const color = useTrait<Measure>(model, "color");
  const { value: lens } = useStore(state.shown);
  const asks = canAsk(model);
  useStore(state.target);
  useStore(state.requested);
  const followed = lens?.json.targets ?? [];
  const targets = state.choice().targets;
  const choosable = needsTarget(color) && followed.length > 1;
  const chosen = lens && followed[state.targetIndex(lens)]?.text;
  return (
    <div class="hs-follow" data-hs="follow">
      {asks && (
        <InlineField
          name="follow"
          caption="follow"
          label="Follow a token"
          title="A token, such as ␣Oslo; Enter adds it"
          value={typed}
          onType={setTyped}
          onEnter={() => {
            state.follow(typedToken(typed));
            setTyped("");
          }}
        />
      )}
      {targets.map((text) => (
        <span key={text} class="hs-target" data-hs="target" data-chosen={choosable && text === chosen}>
          {choosable ? (
            <button
              type="button"
              class="hs-plain"
              aria-pressed={text === chosen}
              title="Colour by this token"
              onClick={() => state.target.set(text)}
            >
              <Token text={text} />
            </button>
          ) : (
            <Token text={text} />
          )}
          {asks && (
            <button
              type="button"
              class="hs-plain"
              data-hs="unfollow"
              title="Stop following it"
              aria-label={`Stop following ${visibleText(text)}`}
              onClick={() => state.unfollow(text)}
            >
              {"\u2715"}
            </button>
          )}
        </span>
      ))}
    </div>
  );
}
