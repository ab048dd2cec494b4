// Menus and buttons.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { copyText } from "./clipboard";

export interface Choice {
  /** The text that the closed menu shows. */
  label: string;
  help?: string | undefined;
  /** Why this entry can't be chosen. */
  reason?: string | null | undefined;
}

interface MenuProps {
  name: string;
  label: string;
  choices: readonly Choice[];
  /** -1 if the current value is not in the menu; `shown` then describes it. */
  chosen: number;
  shown: string;
  onChoose(index: number): void;
}

export function Menu({ name, label, choices, chosen, shown, onChoose }: MenuProps) {
  const help = choices[chosen]?.help;
  return (
    <label class="hs-select" title={help ? `${label}: ${help}` : label}>
      <span aria-hidden="true">{choices[chosen]?.label ?? shown}</span>
      <select
        data-hs={name}
        aria-label={label}
        value={String(chosen)}
        onChange={(event) => onChoose(Number(event.currentTarget.value))}
      >
        {chosen < 0 && <option value="-1">{shown}</option>}
        {choices.map((choice, index) => (
          <option
            key={`${index} ${choice.label}`}
            value={String(index)}
            disabled={Boolean(choice.reason)}
            title={choice.reason ?? choice.help}
          >
            {[choice.label, choice.reason ?? choice.help].filter(Boolean).join(" \u2014 ")}
          </option>
        ))}
      </select>
    </label>
  );
}

interface NameMenuProps<Name> extends Omit<MenuProps, "choices" | "chosen" | "shown" | "onChoose"> {
  choices: readonly (Choice & { name: Name })[];
  value: Name;
  onChoose(name: Name): void;
}

/** A menu of named choices. */
export function NameMenu<Name extends string>({ choices, value, onChoose, ...menu }: NameMenuProps<Name>) {
  return (
    <Menu
      {...menu}
      choices={choices}
      chosen={choices.findIndex(({ name }) => name === value)}
      shown={value}
      onChoose={(index) => onChoose(choices[index]?.name ?? value)}
    />
  );
}

interface ButtonProps {
  name: string;
  /** The accessible name of a button that shows only a symbol. */
  label?: string;
  /** What the button does; only a button with a label may lack it. */
  title?: string;
  quiet?: boolean;
  disabled?: boolean;
  /** For a button that shows and hides something: whether it is shown. */
  expanded?: boolean;
  onClick(): void;
  children: ComponentChildren;
}

export function Button({
  name,
  label,
  title,
  quiet = false,
  disabled = false,
  expanded,
  onClick,
  children,
}: ButtonProps) {
  return (
    <button
      type="button"
      class={quiet ? "hs-button hs-button-quiet" : "hs-button"}
      data-hs={name}
      title={title ?? label}
      aria-label={label}
      aria-expanded={expanded}
      disabled={disabled}
      onClick={onClick}
    >
      {children}
    </button>
  );
}

const CONFIRMED_MS = 1500;

/** A function that copies a text, and whether that was just done. */
export function useCopied(): [boolean, (text: string) => Promise<void>] {
  const [copied, setCopied] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async (text: string) => {
    await copyText(text);
    setCopied(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setCopied(false), CONFIRMED_MS);
  };
  return [copied, copy];
}

/** Copies the text that `text` returns, and briefly confirms it. */
export function CopyButton({
  name,
  title,
  text,
  children,
}: Pick<ButtonProps, "name" | "children"> & { title: string; text(): string }) {
  const [copied, copy] = useCopied();
  return (
    <Button name={name} title={title} quiet onClick={() => copy(text())}>
      {copied ? "Copied" : children}
    </Button>
  );
}
