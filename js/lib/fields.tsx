// Small fields beside menus. What is typed counts when the field is left or Enter is pressed.

interface FieldProps {
  name: string;
  label: string;
  help?: string;
  value: string;
  /** How many characters it has room for. */
  size: number;
  /** The id of the sentence that says what is wrong with it. */
  problem: string | undefined;
  onCommit(text: string): void;
}

/** Shows `value` until it is typed in, and again when it changes from outside. */
export function SmallField({ name, label, help, value, size, problem, onCommit }: FieldProps) {
  const commit = ({ currentTarget: field }: { currentTarget: HTMLInputElement }) => {
    if (field.value === field.defaultValue) return;
    field.defaultValue = field.value;
    onCommit(field.value);
  };
  return (
    <label class="hs-small-field" title={help}>
      <span>{label}</span>
      <input
        key={value}
        type="text"
        data-hs={name}
        size={size}
        defaultValue={value}
        spellcheck={false}
        aria-invalid={problem !== undefined}
        aria-describedby={problem}
        onChange={commit}
        // JupyterLab takes Enter from a field before it changes anything.
        onKeyDown={(event) => event.key === "Enter" && commit(event)}
      />
    </label>
  );
}

interface CheckProps {
  name: string;
  label: string;
  checked: boolean;
  onChange(checked: boolean): void;
}

export function SmallCheck({ name, label, checked, onChange }: CheckProps) {
  return (
    <label class="hs-small-field">
      <input
        type="checkbox"
        data-hs={name}
        checked={checked}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  );
}

/** The number that was written, with any kind of minus; not a number where it is none. */
export function parseNumber(text: string): number {
  const plain = text.trim().replace("\u2212", "-");
  return plain === "" ? Number.NaN : Number(plain);
}
