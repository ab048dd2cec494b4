// The row above the grid: the side, the colour, the stream, the lens, and the progress of the run.
import { Button, type Choice, Menu } from "../../lib/controls";
import { canAsk, type Progress, type Status, useTrait, type ViewModel, write } from "../../lib/model";
import { RunState } from "../../lib/status";
import { useStore } from "../../lib/store";
import { Follow } from "./follow";
import { type Measure, needsTarget } from "./measures";
import type { Lens, ShownSide } from "./result";
import type { Shown } from "./sides";
import type { LensState } from "./state";

export interface LensInfo {
  model: unknown;
  streams: (Choice & { name: string })[];
  lenses: (Choice & { name: string })[];
  colors: (Choice & { name: Measure })[];
}

interface ControlsProps {
  model: ViewModel;
  state: LensState;
}

const SIDES: (Choice & { name: ShownSide })[] = [
  { name: "clean", label: "clean", help: "the clean prompt" },
  { name: "corrupt", label: "corrupt", help: "the corrupt prompt" },
  { name: "difference", label: "clean \u2212 corrupt", help: "the difference of the two" },
];

/** Chooses the prompt of a pair; a single prompt needs no menu. */
export function SideMenu({ model, name }: { model: ViewModel; name: ShownSide }) {
  if (name === "prompt") return null;
  return (
    <Menu
      name="side"
      label="Side"
      choices={SIDES}
      chosen={SIDES.findIndex((side) => side.name === name)}
      shown={name}
      onChoose={(index) => write(model, "side", SIDES[index]?.name ?? name)}
    />
  );
}

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
      <SideMenu model={model} name={shown?.name ?? side} />
      <Menu
        name="color"
        label="Colour"
        choices={colors}
        chosen={colors.findIndex(({ name }) => name === color)}
        shown={color}
        onChoose={(index) => write(model, "color", colors[index]?.name ?? color)}
      />
      <ReadMenus model={model} state={state} />
      <Follow model={model} state={state} />
      {shown && <Columns model={model} shown={shown} />}
      <Running model={model} state={state} lens={lens} />
    </div>
  );
}

function ReadMenus({ model, state }: ControlsProps) {
  const info = useTrait<LensInfo>(model, "info");
  // Watched so that the menus follow both what was asked for here and what Python sets.
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
            <Menu
              key={name}
              name={name}
              label={label}
              choices={choices}
              chosen={choices.findIndex((entry) => entry.name === choice[name])}
              shown={choice[name]}
              onChoose={(index) => state.run({ [name]: choices[index]?.name ?? choice[name] })}
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
    <Button name="all-columns" onClick={() => write(model, "columns", null)}>
      Show all {shown.first.positions}
    </Button>
  );
}

function Running({ model, state, lens }: ControlsProps & { lens: Lens | null }) {
  const status = useTrait<Status>(model, "status");
  const progress = useTrait<Progress>(model, "progress");
  const waiting = useStore(state.rpc.waiting);
  return (
    <RunState
      {...{ model, status, progress, waiting }}
      label="Reading"
      took={lens?.json.provenance.seconds}
      onRun={() => state.run({})}
      onCancel={() => state.cancel()}
    />
  );
}
