// What is put in, over how many layers, and where the metric is read: shown where it is not as usual, or on demand.
import { useEffect, useState } from "preact/hooks";
import { Button, Menu } from "../../lib/controls";
import { isWhole, SmallCheck, SmallField, takeNumber } from "../../lib/fields";
import { useTrait, type ViewModel } from "../../lib/model";
import { positionNames, takesWindow, valueLabel } from "./option_words";
import { type HeatmapInfo, OTHER_RUN, type Params, type Value } from "./params";
import type { Sweep } from "./result";
import type { HeatmapState } from "./state";

interface OptionsProps {
  model: ViewModel;
  state: HeatmapState;
  sweep: Sweep | null;
}

interface OptionProps extends OptionsProps {
  params: Params;
}

export function Options({ model, state, sweep }: OptionsProps) {
  const info = useTrait<HeatmapInfo>(model, "info");
  const [open, setOpen] = useState(false);
  const params = state.params();
  const options = [
    {
      name: "value",
      View: ValueOption,
      usual: params.value.kind === "other",
      applies: (info.values ?? []).length > 0,
    },
    { name: "window", View: WindowOption, usual: params.window === 1, applies: takesWindow(params, sweep) },
    { name: "at", View: AtOption, usual: params.at === null, applies: positionNames(sweep).length > 1 },
  ].filter((option) => option.applies || !option.usual);
  const shown = options.filter((option) => open || !option.usual);
  return (
    <>
      {shown.map(({ name, View }) => (
        <View key={name} {...{ model, state, sweep, params }} />
      ))}
      {options.some((option) => option.usual) && (
        <Button name="more" quiet expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Less" : "More"}
        </Button>
      )}
    </>
  );
}

const NUMBERS = [
  {
    field: "factor",
    label: "times",
    usual: 1,
    good: Number.isFinite,
    wrong: "The factor must be a number, such as 2 or \u22120.5.",
  },
  {
    field: "draws",
    label: "draws",
    help: "Draws a cell, averaged",
    usual: 1,
    good: (draws: number) => isWhole(draws, 1, 20),
    wrong: "A whole number of draws up to 20.",
  },
  {
    field: "seed",
    label: "seed",
    help: "Of the drawing",
    usual: 0,
    good: (seed: number) => isWhole(seed, 0, 2 ** 31 - 1),
    wrong: "The seed must be a whole number, such as 0.",
  },
] as const;

function ValueOption({ model, state, params }: OptionProps) {
  const info = useTrait<HeatmapInfo>(model, "info");
  const { values = [] } = info;
  // A prompt is asked for once it has been typed.
  const [draft, setDraft] = useState<Value | null>(null);
  useEffect(() => setDraft(null), [params.value]);
  const value = draft ?? params.value;
  const entry = values.find(({ kind }) => kind === value.kind);
  const fields = entry?.fields ?? [];
  const choose = (next: Value) => {
    const whole = next.kind !== "prompt" || next.text;
    setDraft(whole ? null : next);
    if (whole) state.run({ value: next });
  };
  return (
    <>
      <Menu
        name="value"
        label="What is put in"
        choices={values}
        chosen={entry && !value.vector ? values.indexOf(entry) : -1}
        shown={valueLabel(value, info)}
        onChoose={(index) => choose(startingValue(values[index]?.kind ?? OTHER_RUN.kind))}
      />
      {fields.includes("text") && (
        <SmallField
          name="value-text"
          label="prompt"
          value={value.text ?? ""}
          size={28}
          take={(text) => {
            if (text.trim() === "") return "Type the prompt whose activations are put in.";
            choose({ ...value, text });
            return null;
          }}
        />
      )}
      {NUMBERS.filter(({ field }) => fields.includes(field)).map(
        ({ field, usual, good, wrong, ...words }) => (
          <SmallField
            key={`${value.kind} ${field}`}
            {...words}
            name={`value-${field}`}
            value={String(value[field] ?? usual)}
            size={5}
            take={takeNumber(good, wrong, (number) => choose({ ...value, [field]: number }))}
          />
        ),
      )}
      {fields.includes("by_position") && (
        <SmallCheck
          name="value-by-position"
          label="for each position"
          checked={value.by_position === true}
          onChange={(by_position) => choose({ ...value, by_position })}
        />
      )}
    </>
  );
}

function WindowOption({ state, sweep, params }: OptionProps) {
  const layers = sweep?.json.labels.layer?.length ?? 1;
  return (
    <SmallField
      name="window"
      label="window"
      help="How many neighbouring layers are patched together"
      value={String(params.window)}
      size={3}
      take={takeNumber(
        (window) => isWhole(window, 1, layers),
        `A whole number of layers up to ${layers}.`,
        (window) => state.run({ window }),
      )}
    />
  );
}

function AtOption({ state, sweep, params }: OptionProps) {
  const choices = ["the last token", ...positionNames(sweep)].map((name) => ({ label: `read at ${name}` }));
  return (
    <Menu
      name="at"
      label="Where the metric is read"
      choices={choices}
      chosen={params.at === null ? 0 : params.at + 1}
      shown={`read at position ${params.at}`}
      onChoose={(index) => state.run({ at: index === 0 ? null : index - 1 })}
    />
  );
}

function startingValue(kind: string): Value {
  if (kind === "prompt") return { kind, text: "" };
  if (kind === "mean") return { kind, by_position: false };
  if (kind === "resample") return { kind, draws: 1, seed: 0 };
  if (kind === "add" || kind === "scale") return { kind, factor: kind === "add" ? 1 : 0.5 };
  return { kind };
}
