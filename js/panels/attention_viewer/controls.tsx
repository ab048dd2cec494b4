// The controls above the heads: the kind of values, the prompt, the scale, the order and the marks.
import { useState } from "preact/hooks";
import { Button, NameMenu } from "../../lib/controls";
import { SmallCheck, SmallField } from "../../lib/fields";
import { canAsk, type Status, useTrait, type ViewModel, write } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { SideMenu } from "../../lib/side_menu";
import { RunState } from "../../lib/status";
import { useStore } from "../../lib/store";
import { formatLayers, parseLayers } from "./layers";
import type { MarkName } from "./marks";
import type { ScaleName } from "./scale";
import { type Kind, readInfo, type Scene } from "./scene";
import { ON, type Score } from "./scores";
import type { AttentionState } from "./state";

type ControlsProps = PanelProps<AttentionState> & { scene: Scene | null };

export function Controls({ model, state, scene }: ControlsProps) {
  const [open, setOpen] = useState(false);
  // Unless the whole result is here, thumbnails of another side or scale come from the kernel.
  const fixed = model.readonly && scene?.attention.json.whole === false;
  return (
    <div class="hs-controls" data-hs="controls">
      <KindMenu model={model} state={state} />
      {scene && !fixed && <SideMenu model={model} side={scene.side} />}
      {scene && !fixed && <ScaleMenu model={model} />}
      {scene && !fixed && <WithoutFirst model={model} />}
      {scene && <SortMenu model={model} state={state} scene={scene} />}
      {scene && <Marks model={model} />}
      {scene && <Layers model={model} scene={scene} open={open} onOpen={() => setOpen(!open)} />}
      <Running model={model} state={state} scene={scene} />
    </div>
  );
}

function KindMenu({ model, state }: Omit<ControlsProps, "scene">) {
  const { kinds } = readInfo(model);
  const asked = useStore(state.kind);
  const known = useTrait<Kind>(model, "kind");
  const kind = asked ?? known;
  if (kinds.length === 0) return null;
  if (!canAsk(model)) {
    return (
      <span class="hs-muted" data-hs="params">
        {kinds.find(({ name }) => name === kind)?.label ?? kind}
      </span>
    );
  }
  return (
    <NameMenu
      name="kind"
      label="Kind"
      choices={kinds}
      value={kind}
      onChoose={(name) => state.run({ kind: name })}
    />
  );
}

function ScaleMenu({ model }: { model: ViewModel }) {
  return (
    <NameMenu
      name="scale"
      label="Scale"
      choices={readInfo(model).scales}
      value={useTrait<ScaleName>(model, "scale")}
      onChoose={(name) => write(model, "scale", name)}
    />
  );
}

function WithoutFirst({ model }: { model: ViewModel }) {
  const without = useTrait<boolean | undefined>(model, "without_first") ?? false;
  return (
    <span title="Most heads rest on the first token. Without it, the colours show what else they attend to.">
      <SmallCheck
        name="without-first"
        label="without the first token"
        checked={without}
        onChange={(on) => write(model, "without_first", on)}
      />
    </span>
  );
}

function Marks({ model }: { model: ViewModel }) {
  const marks = useTrait<MarkName[] | undefined>(model, "marks") ?? [];
  return (
    <>
      {readInfo(model).marks.map(({ name, label, help }) => (
        <span key={name} class="hs-mark-check" title={help} data-mark={name}>
          <SmallCheck
            name={`mark-${name}`}
            label={label}
            checked={marks.includes(name)}
            onChange={(on) => {
              const others = marks.filter((mark) => mark !== name);
              write(model, "marks", on ? [...others, name] : others);
            }}
          />
        </span>
      ))}
    </>
  );
}

interface LayersProps {
  model: ViewModel;
  scene: Scene;
  open: boolean;
  onOpen(): void;
}

/** Which layers are shown, and where layer 0 is: opened on demand, or if these are not the defaults. */
function Layers({ model, scene, open, onOpen }: LayersProps) {
  const { attention, layers, rising } = scene;
  const known = attention.json.layers;
  if (known.length < 2) return null;
  return (
    <>
      {(open || layers) && (
        <SmallField
          name="layers"
          label="layers"
          help="Such as 0-3, 7; empty for all"
          value={formatLayers(layers)}
          size={9}
          take={(text) => {
            const parsed = parseLayers(text, known);
            if (typeof parsed === "string") return parsed;
            write(model, "shown_layers", parsed);
            return null;
          }}
        />
      )}
      {open && (
        <Button
          name="layer-zero"
          title="Reverse the layers"
          onClick={() => write(model, "layer_zero", rising ? "top" : "bottom")}
        >
          Layer 0 at the {rising ? "top" : "bottom"}
        </Button>
      )}
      <Button name="more" title="Which layers, and their order" quiet expanded={open} onClick={onOpen}>
        {open ? "Less" : "More"}
      </Button>
    </>
  );
}

function Running({ model, state, scene }: ControlsProps) {
  const status = useTrait<Status | undefined>(model, "status");
  const aside = useStore(state.aside);
  // A request about one head shows its progress under that head.
  const apart = aside?.head && aside.problem === null;
  if (!status || readInfo(model).model === null) return null;
  return (
    <RunState
      model={model}
      rpc={state.rpc}
      status={apart && scene ? "done" : status}
      label="Reading attention"
      took={scene?.attention.json.provenance?.seconds}
      onRun={() => state.run()}
    />
  );
}

const LAYER = "layer";
/** The entry for scores that are not measured yet. */
const MEASURE = "+";

function SortMenu({ model, state, scene }: PanelProps<AttentionState> & { scene: Scene }) {
  const { scores, score } = scene;
  const aside = useStore(state.aside);
  const on = (what: Score["on"]) => scores.filter((score) => score.on === what);
  const measures = on("random").length === 0 && canAsk(model);
  if (scores.length === 0 && !measures) return null;
  const measuring = aside?.what === "scores" && aside.problem === null;
  const choose = (name: string) => {
    if (name === MEASURE) state.measureHeads();
    else write(model, "sort", name);
  };
  const unsorted = scene.attention.json.names ? "in the given order" : "by layer and head";
  const shown = score ? `by ${score.label}` : unsorted;
  return (
    <label class="hs-select" title={score ? `Order: ${score.help}, ${ON[score.on]}` : "Order"}>
      <span aria-hidden="true">{measuring ? "measuring\u2026" : shown}</span>
      <select
        data-hs="sort"
        aria-label="Order"
        value={score?.name ?? LAYER}
        onChange={(event) => {
          choose(event.currentTarget.value);
          // The entry that measures scores sends a request and is not itself an order.
          event.currentTarget.value = score?.name ?? LAYER;
        }}
      >
        <option value={LAYER}>{unsorted}</option>
        {on("prompt").length > 0 && <Group label={ON.prompt} scores={on("prompt")} />}
        {on("random").length > 0 && <Group label={ON.random} scores={on("random")} />}
        {measures && (
          <optgroup label={ON.random}>
            <option value={MEASURE} disabled={measuring}>
              {measuring ? "measuring\u2026" : "measure on repeated random tokens"}
            </option>
          </optgroup>
        )}
      </select>
    </label>
  );
}

function Group({ label, scores }: { label: string; scores: Score[] }) {
  return (
    <optgroup label={label}>
      {scores.map((score) => (
        <option key={score.name} value={score.name} title={score.help}>
          {`by ${score.label} \u2014 ${score.help}`}
        </option>
      ))}
    </optgroup>
  );
}
