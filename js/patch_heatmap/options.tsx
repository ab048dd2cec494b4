// What is put in, over how many layers, and where the metric is read: shown where it is not as usual, or on demand.
import { useEffect, useState } from "preact/hooks";
import { Button, Menu } from "../lib/controls";
import { parseNumber, SmallCheck, SmallField } from "../lib/fields";
import { useTrait, type ViewModel } from "../lib/model";
import { useUniqueId } from "../lib/unique_id";
import { positionNames, takesWindow } from "./option_words";
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
  /** Says what is wrong; null when nothing is any more. */
  complain(message: string | null): void;
  problem: string | undefined;
}

export function Options({ model, state, sweep }: OptionsProps) {
  const info = useTrait<HeatmapInfo>(model, "info");
  const [open, setOpen] = useState(false);
  const [complaints, setComplaints] = useState<Record<string, string | null>>({});
  const id = useUniqueId();
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
  const toggle = () => {
    setOpen(!open);
    setComplaints({});
  };
  return (
    <>
      {shown.map(({ name, View }) => (
        <View
          key={name}
          {...{ model, state, sweep, params }}
          problem={complaints[name] ? `${id}-${name}` : undefined}
          complain={(message) => setComplaints({ ...complaints, [name]: message })}
        />
      ))}
      {options.some((option) => option.usual) && (
        <Button name="more" quiet expanded={open} onClick={toggle}>
          {open ? "Less" : "More"}
        </Button>
      )}
      <div role="alert" class="hs-complaints">
        {shown.map(
          ({ name }) =>
            complaints[name] && (
              <p key={name} class="hs-error" id={`${id}-${name}`} data-hs="complaint">
                {complaints[name]}
              </p>
            ),
        )}
      </div>
    </>
  );
}

function ValueOption({ model, state, params, problem, complain }: OptionProps) {
  const { values = [] } = useTrait<HeatmapInfo>(model, "info");
  // A prompt is asked for once it has been typed.
  const [draft, setDraft] = useState<Value | null>(null);
  useEffect(() => setDraft(null), [params.value]);
  const value = draft ?? params.value;
  const chosen = values.findIndex((entry) => entry.kind === value.kind);
  const fields = values[chosen]?.fields ?? [];
  const choose = (next: Value) => {
    complain(null);
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
        chosen={chosen}
        shown={value.kind}
        onChoose={(index) => choose(startingValue(values[index]?.kind ?? OTHER_RUN.kind))}
      />
      {fields.includes("text") && (
        <SmallField
          name="value-text"
          label="prompt"
          value={value.text ?? ""}
          size={28}
          problem={problem}
          onCommit={(text) => {
            if (text.trim() === "") complain("Type the prompt whose activations are put in.");
            else choose({ ...value, text });
          }}
        />
      )}
      {fields.includes("factor") && (
        <SmallField
          name="value-factor"
          label="times"
          value={String(value.factor ?? 1)}
          size={5}
          problem={problem}
          onCommit={(text) => {
            const factor = parseNumber(text);
            if (Number.isFinite(factor)) choose({ ...value, factor });
            else complain(`The factor must be a number, such as 2 or -0.5: not “${text}”.`);
          }}
        />
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

function WindowOption({ state, sweep, params, problem, complain }: OptionProps) {
  const layers = sweep?.json.labels.layer?.length ?? 1;
  return (
    <SmallField
      name="window"
      label="window"
      help="How many neighbouring layers are patched together"
      value={String(params.window)}
      size={3}
      problem={problem}
      onCommit={(text) => {
        const window = parseNumber(text);
        const good = window >= 1 && window <= layers && Number.isInteger(window);
        complain(good ? null : `A whole number of layers up to ${layers}.`);
        if (good) state.run({ window });
      }}
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
  if (kind === "add" || kind === "scale") return { kind, factor: kind === "add" ? 1 : 0.5 };
  return { kind };
}
