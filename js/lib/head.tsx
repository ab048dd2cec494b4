// The title of a view, how to read it, and its export buttons.
import type { ComponentChildren } from "preact";
import { Button, CopyButton } from "./controls";

interface HeadProps {
  title: string;
  /** How to read the view. */
  words: string;
  children: ComponentChildren;
}

export function Head({ title, words, children }: HeadProps) {
  return (
    <div class="hs-head">
      <h2 class="hs-title">
        {title} <small data-hs="subtitle">{words}</small>
      </h2>
      {children}
    </div>
  );
}

interface ToolsProps {
  /** Names the content that is copied and saved; by default everything shown. */
  what?: string;
  code?: string | null | undefined;
  table?: (() => string) | undefined;
  csv?: (() => void) | undefined;
  picture?: (() => void) | undefined;
}

export function Tools({ what = "what is shown", code, table, csv, picture }: ToolsProps) {
  return (
    <span class="hs-tools">
      {code && (
        <CopyButton name="copy-code" title="Copy the Python code of what is shown" text={() => code}>
          Copy code
        </CopyButton>
      )}
      {table && (
        <CopyButton name="copy" title={`Copy ${what} as a table`} text={table}>
          Copy
        </CopyButton>
      )}
      {csv && (
        <Button name="csv" title={`Save ${what} as comma-separated values`} quiet onClick={csv}>
          CSV
        </Button>
      )}
      {picture && (
        <Button name="png" title={`Save ${what} as a picture`} quiet onClick={picture}>
          PNG
        </Button>
      )}
    </span>
  );
}
