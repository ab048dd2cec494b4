// Further options: the value that is patched in, the window of layers, where the metric is read, and the method's other
// arguments. They are shown on demand, or if they are not at their defaults.
import { useEffect, useState } from "preact/hooks";
import { Argument, appliesTo, type Field } from "../../lib/arguments";
import { Button, Menu } from "../../lib/controls";
import { fixed } from "../../lib/format";
import { useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { visibleText } from "../../lib/tokens";
import { LimitField, limitOf } from "./look";
import { argumentsOf, type HeatmapInfo, OTHER_RUN, type Params, type Value } from "./params";
import { baseRun } from "./places";
import type { Sweep } from "./result";
import type { HeatmapState } from "./state";

type OptionsProps = PanelProps<HeatmapState> & { sweep: Sweep | null };

interface OptionProps extends Omit<OptionsProps, "model"> {
  info: HeatmapInfo;
  params: Params;
}

export function Options({ model, state, sweep }: OptionsProps) {
  const info = useTrait<HeatmapInfo>(model, "info");
  const [open, setOpen] = useState(false);
  const params = state.params();
  const options = [
    ...optionsOf({ info, state, sweep, params }),
    { usual: limitOf(model) === null, view: <LimitField key="limit" model={model} /> },
  ];
  const shown = options.filter(({ usual }) => open || !usual);
  return (
    <>
      {shown.map(({ view }) => view)}
      {options.some(({ usual }) => usual) && (
        <Button name="more" title="Further settings" quiet expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Less" : "More"}
        </Button>
      )}
    </>
  );
}

/** The options that apply. An option that is not at its default is included even if it has no effect. */
function optionsOf(props: OptionProps) {
  const { info, sweep, params } = props;
  const { values = [], at = null, fields = [] } = info;
  const own = [
    {
      usual: params.value.kind === "other",
      applies: values.length > 0,
      view: <ValueOption key="value" {...props} />,
    },
    {
      usual: params.window === 1,
      applies: takesWindow(params, info, sweep),
      view: <WindowOption key="window" {...props} />,
    },
    {
      usual: params.at === null,
      applies: at !== null && positionNames(sweep).length > 1,
      view: <AtOption key="at" {...props} />,
    },
  ];
  const chosen = {
    ...argumentsOf(params),
    ...Object.fromEntries(fields.map((one) => [one.name, given(params.options, one)])),
  };
  const further = fields.map((field) => ({
    usual: given(params.options, field) === field.default,
    applies: appliesTo(field, chosen),
    view: <FurtherOption key={`option ${field.name}`} {...props} field={field} />,
  }));
  return [...own, ...further].filter(({ applies, usual }) => applies || !usual);
}

function ValueOption({ info, state, params }: OptionProps) {
  const { values = [] } = info;
  // The request is sent once a prompt has been typed.
  const [draft, setDraft] = useState<Value | null>(null);
  useEffect(() => setDraft(null), [params.value]);
  const value = draft ?? params.value;
  const entry = values.find(({ kind }) => kind === value.kind);
  const choose = (next: Value) => {
    const whole = next.kind !== "prompt" || next.text;
    setDraft(whole ? null : next);
    if (whole) state.run({ value: next });
  };
  return (
    <>
      <Menu
        name="value"
        label="Value patched in"
        choices={values}
        chosen={entry && !value.vector ? values.indexOf(entry) : -1}
        shown={valueLabel(value, info)}
        onChoose={(index) => choose(startingValue(values[index]))}
      />
      {entry?.fields.map((field) => (
        <Argument
          key={`${value.kind} ${field.name}`}
          name={`value-${field.name}`}
          field={field}
          value={value[field.name as keyof Value] ?? field.default}
          onChange={(part) => choose({ ...value, [field.name]: part })}
        />
      ))}
    </>
  );
}

function WindowOption({ info, state, sweep, params }: OptionProps) {
  const layers = sweep?.json.labels.layer?.length ?? 1;
  if (!info.window) return null;
  return (
    <Argument
      name="window"
      field={{ ...info.window, most: layers }}
      value={params.window}
      onChange={(window) => state.run({ window: Number(window) })}
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

/** An argument that the view knows only from the method's schema. */
function FurtherOption({ state, params, field }: OptionProps & { field: Field }) {
  const { name } = field;
  return (
    <Argument
      name={`option-${name}`}
      field={field}
      value={given(params.options, field)}
      onChange={(value) => state.run({ options: { ...params.options, [name]: value } })}
    />
  );
}

/** The value of an argument. Null may be chosen although it is not the default. */
function given(options: Params["options"], { name, default: usual }: Field): unknown {
  return name in options ? options[name] : usual;
}

/** Initial values that are better than Python's defaults: prompts of a data set may be of any length, and a factor has
 *  no default. */
const FIRST: Record<string, Partial<Value>> = { mean: { by_position: false }, scale: { factor: 0.5 } };

function startingValue(entry: NonNullable<HeatmapInfo["values"]>[number] | undefined): Value {
  if (!entry) return OTHER_RUN;
  const defaults = entry.fields.map((field) => [field.name, field.default ?? undefined]);
  return { kind: entry.kind, ...Object.fromEntries(defaults), ...FIRST[entry.kind] };
}

/** A window needs several layers. */
function takesWindow(params: Params, { window }: HeatmapInfo, sweep: Sweep | null): boolean {
  const layers = sweep?.json.labels.layer?.length ?? 0;
  return (
    Boolean(window && appliesTo(window, argumentsOf(params))) && params.axes.includes("layer") && layers > 1
  );
}

/** The tokens of the patched prompt; none if each pair of a data set has its own. */
function positionNames(sweep: Sweep | null): string[] {
  if (!sweep || sweep.pairs) return [];
  const { tokens } = sweep.json.prompts[baseRun(sweep)];
  return tokens.map((token, position) => `${position} ${visibleText(token)}`);
}

/** The menu offers only the difference of the two runs; users give their own vector in Python. */
function valueLabel(value: Value, { values = [] }: HeatmapInfo): string {
  if (value.vector) return "add a given vector";
  return values.find(({ kind }) => kind === value.kind)?.label ?? value.kind;
}

/** Describes the options that are not at their defaults. */
export function unusual(
  { value, window, at, options }: Params,
  info: HeatmapInfo,
  sweep: Sweep | null,
): string[] {
  const words: string[] = [];
  if (value.kind !== "other") {
    const factor = value.factor === undefined ? "" : ` times ${fixed(value.factor)}`;
    words.push(valueLabel(value, info) + factor + (value.by_position ? " for each position" : ""));
    if ((value.draws ?? 1) > 1) words.push(`${value.draws} draws per cell`);
    if (value.text) words.push(`“${value.text}”`);
  }
  if (window > 1) words.push(`window ${window}`);
  if (at !== null) words.push(`read at ${positionNames(sweep)[at] ?? at}`);
  for (const field of info.fields ?? []) {
    const chosen = given(options, field);
    if (chosen !== field.default) words.push(`${field.label} ${chosen ?? "none"}`);
  }
  return words;
}
