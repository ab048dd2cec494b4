// Small fields beside menus. Input is committed when the field loses focus or Enter is pressed.
import { useEffect, useState } from "preact/hooks";
import { useUniqueId } from "./unique_id";

interface FieldProps {
  name: string;
  label: string;
  help?: string;
  value: string;
  /** Shown while the field is empty: what an empty field means. */
  placeholder?: string;
  /** Width in characters. */
  size: number;
  /** Takes the input; returns a sentence that says what is wrong if it can't. */
  take(text: string): string | null;
}

/** Shows `value` until the user types, and again when it changes from outside. */
export function SmallField({ name, label, help, value, placeholder, size, take }: FieldProps) {
  const [wrong, setWrong] = useState<string | null>(null);
  const id = useUniqueId();
  useEffect(() => setWrong(null), [value]);
  const commit = ({ currentTarget: field }: { currentTarget: HTMLInputElement }) => {
    if (field.value === field.defaultValue) return;
    field.defaultValue = field.value;
    setWrong(take(field.value));
  };
  return (
    <>
      <label class="hs-small-field hs-small" title={help}>
        <span>{label}</span>
        <input
          key={value}
          type="text"
          data-hs={name}
          size={size}
          defaultValue={value}
          placeholder={placeholder}
          spellcheck={false}
          aria-invalid={wrong !== null}
          aria-describedby={wrong === null ? undefined : id}
          onChange={commit}
          // JupyterLab intercepts Enter before the field fires a change event.
          onKeyDown={(event) => event.key === "Enter" && commit(event)}
        />
      </label>
      <div role="alert" class="hs-complaints">
        {wrong !== null && (
          <p class="hs-error" id={id} data-hs="complaint">
            {wrong}
          </p>
        )}
      </div>
    </>
  );
}

interface CheckProps {
  name: string;
  label: string;
  help?: string;
  checked: boolean;
  onChange(checked: boolean): void;
}

export function SmallCheck({ name, label, help, checked, onChange }: CheckProps) {
  return (
    <label class="hs-small-field hs-small" title={help}>
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

/** Parses the input of a number field, written with any kind of minus sign. */
export function takeNumber(good: (number: number) => boolean, wrong: string, use: (number: number) => void) {
  return (text: string): string | null => {
    const plain = text.trim().replace("\u2212", "-");
    const number = plain === "" ? Number.NaN : Number(plain);
    if (!good(number)) return wrong;
    use(number);
    return null;
  };
}

export function isWhole(number: number, least: number, most: number): boolean {
  return Number.isInteger(number) && number >= least && number <= most;
}
