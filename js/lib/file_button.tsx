// A button with which the user chooses a text file.
import type { ComponentChildren } from "preact";

interface FileButtonProps {
  name: string;
  title: string;
  accept: string;
  /** How many characters are read at most; of a longer file, enough to be refused as too long. */
  longest: number;
  quiet?: boolean;
  onText(text: string, fileName: string): void;
  children: ComponentChildren;
}

/** A character takes four bytes at most, so that no file of fewer characters is cut. */
const BYTES = 4;

export function FileButton({ name, title, accept, longest, quiet, onText, children }: FileButtonProps) {
  const read = async (input: HTMLInputElement) => {
    const file = input.files?.[0];
    input.value = ""; // the same file again is a change, too
    if (file) onText(await file.slice(0, BYTES * longest + 1).text(), file.name);
  };
  return (
    <label class={quiet ? "hs-button hs-button-quiet" : "hs-button"} title={title}>
      {children}
      <input
        type="file"
        class="hs-sr"
        data-hs={name}
        accept={accept}
        onChange={({ currentTarget }) => read(currentTarget)}
      />
    </label>
  );
}
