// A control for one argument, built from the method's schema.
import { type Choice, Menu } from "./controls";
import { SmallCheck, SmallField, takeNumber } from "./fields";

/** An argument, or a part of one, as widgets/hookscope/menus.py describes it. */
export interface Field {
  name: string;
  label: string;
  help: string;
  type: "integer" | "number" | "boolean" | "choice" | "string";
  choices: (Choice & { name: string })[];
  least: number | null;
  most: number | null;
  default: unknown;
  /** Whether the field may be empty, which means null. */
  optional?: boolean;
  /** The argument applies only if another argument has one of these values. */
  applies: { argument: string; values: unknown[] } | null;
}

export function appliesTo({ applies }: Field, values: Record<string, unknown>): boolean {
  return applies === null || applies.values.includes(values[applies.argument]);
}

interface ArgumentProps {
  /** The control's own name in the page. */
  name: string;
  field: Field;
  value: unknown;
  onChange(value: unknown): void;
}

export function Argument({ name, field, value, onChange }: ArgumentProps) {
  const { label, help, type, choices, optional } = field;
  if (type === "choice") {
    return (
      <Menu
        name={name}
        label={label}
        choices={choices}
        chosen={choices.findIndex((choice) => choice.name === value)}
        shown={String(value)}
        onChoose={(index) => onChange(choices[index]?.name)}
      />
    );
  }
  if (type === "boolean") {
    return <SmallCheck name={name} label={label} help={help} checked={value === true} onChange={onChange} />;
  }
  const text = type === "string";
  const takeFilled = text
    ? takeText(label, onChange)
    : takeNumber(isGood(field), wrongNumber(field), onChange);
  const take = (typed: string): string | null => {
    if (!optional || typed.trim() !== "") return takeFilled(typed);
    onChange(null);
    return null;
  };
  return (
    <SmallField
      name={name}
      label={label}
      help={help}
      value={String(value ?? "")}
      size={text ? 28 : 5}
      take={take}
    />
  );
}

function takeText(label: string, use: (text: string) => void) {
  return (text: string): string | null => {
    if (text.trim() === "") return `The ${label} is empty. Type a value.`;
    use(text);
    return null;
  };
}

function isGood({ type, least, most }: Field) {
  return (number: number): boolean =>
    (type === "integer" ? Number.isSafeInteger(number) : Number.isFinite(number)) &&
    number >= (least ?? number) &&
    number <= (most ?? number);
}

function wrongNumber({ label, type, least, most }: Field): string {
  const noun = type === "integer" ? "a whole number" : "a number";
  return `“${label}” must be ${noun}${boundWords(least, most)}.`;
}

function boundWords(least: number | null, most: number | null): string {
  if (least !== null && most !== null) return ` from ${least} to ${most}`;
  if (least !== null) return `, ${least} or more`;
  return most === null ? "" : `, ${most} or less`;
}
