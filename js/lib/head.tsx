// The title of a view, how to read it, and its export buttons.
import type { ComponentChildren } from "preact";
import { saveFile } from "./clipboard";
import { CopyButton, useCopied } from "./controls";
import { useFileAnswer } from "./file_answer";
import type { PanelProps } from "./panel";
import type { Rpc } from "./rpc";
import type { ResultEnvelope } from "./schema";

interface HeadProps {
  title: string;
  /** How to read the view. */
  words: string;
  /** What the words mean. */
  help?: string;
  children: ComponentChildren;
}

export function Head({ title, words, help, children }: HeadProps) {
  return (
    <div class="hs-head">
      <h2 class="hs-title">
        {title}{" "}
        <small data-hs="subtitle" title={help}>
          {words}
        </small>
      </h2>
      {children}
    </div>
  );
}

interface ToolsProps {
  /** Names the content that is copied and saved; by default everything shown. */
  what?: string;
  code?: string | null | undefined;
  /** Whether the code can also be had as a script without interp_backend. */
  script?: boolean;
  table?: (() => string) | undefined;
  csv?: (() => void) | undefined;
  picture?: (() => void) | undefined;
  /** Saves an SVG that the view makes itself. */
  vector?: (() => void) | undefined;
  /** The result as the view has it, which is what is saved where no kernel can be asked. */
  held?: ResultEnvelope | null | undefined;
  /** Writes other kinds of files, if there is a kernel that does. */
  kernel?: PanelProps<{ rpc: Rpc }> | undefined;
}

export function Tools({
  what = "what is shown",
  code,
  script = true,
  table,
  csv,
  picture,
  vector,
  held,
  kernel,
}: ToolsProps) {
  const ask = kernel && !kernel.model.readonly ? kernel.state.rpc : null;
  return (
    <span class="hs-tools">
      {code && (
        <CopyButton name="copy-code" title="Copy the Python code of what is shown" text={() => code}>
          Copy code
        </CopyButton>
      )}
      {code && script && ask && <CodeMenu rpc={ask} />}
      {table && (
        <CopyButton name="copy" title={`Copy ${what} as a table`} text={table}>
          Copy table
        </CopyButton>
      )}
      {(csv || picture || ask) && (
        <SaveMenu what={what} csv={csv} picture={picture} vector={vector} held={held} rpc={ask} />
      )}
    </span>
  );
}

/** Other forms of the code, which the kernel writes when one is chosen: the arrow of the button before it. */
function CodeMenu({ rpc }: { rpc: Rpc }) {
  const [copied, copy] = useCopied();
  const expect = useFileAnswer(rpc, ({ text }) => copy(String(text)));
  return (
    <label class="hs-select hs-select-quiet hs-select-beside" title="Copy the code in another form">
      <span aria-hidden="true">{copied && "Copied"}</span>
      <select
        data-hs="code-form"
        aria-label="Copy the code in another form"
        value=""
        onChange={({ currentTarget }) => {
          currentTarget.value = "";
          expect(rpc.request("transformerlens_code", {}));
        }}
      >
        <option value="" hidden />
        <option value="transformerlens">
          {"Copy as TransformerLens code \u2014 a script without interp_backend"}
        </option>
      </select>
    </label>
  );
}

type SaveMenuProps = Pick<ToolsProps, "csv" | "picture" | "vector" | "held"> & {
  what: string;
  rpc: Rpc | null;
};

/** A menu of files. A choice acts at once, and the menu then shows its name again. */
function SaveMenu({ what, csv, picture, vector, held, rpc }: SaveMenuProps) {
  const expect = useFileAnswer(rpc, ({ format, text }) => keep(format as Format, String(text)));
  const file = (format: Format) => rpc && expect(rpc.request("file", { format }));
  // Of a large result a view has only a part, which Python can't read.
  const whole = held && held.complete !== false ? () => keep("json", JSON.stringify(held)) : null;
  const kinds = [
    { name: "png", help: "picture", save: picture ?? (rpc && (() => file("png"))) },
    {
      name: "svg",
      help: "picture with text as text, for a paper",
      save: vector ?? (rpc && (() => file("svg"))),
    },
    { name: "csv", help: "table for a spreadsheet", save: csv },
    { name: "json", help: "all of it, for Python to read again", save: rpc ? () => file("json") : whole },
  ].filter(({ save }) => save);
  return (
    <label class="hs-select hs-select-quiet" title={`Save ${what} as a file`}>
      <span aria-hidden="true">Save</span>
      <select
        data-hs="save"
        aria-label={`Save ${what} as a file`}
        value=""
        onChange={({ currentTarget }) => {
          const kind = kinds.find(({ name }) => name === currentTarget.value);
          currentTarget.value = "";
          kind?.save?.();
        }}
      >
        <option value="" hidden />
        {kinds.map(({ name, help }) => (
          <option key={name} value={name}>
            {`${name.toUpperCase()} \u2014 ${help}`}
          </option>
        ))}
      </select>
    </label>
  );
}

const TYPES = { svg: "image/svg+xml", png: "image/png", json: "application/json" };
type Format = keyof typeof TYPES;

/** A picture of pixels comes in base64. */
function keep(format: Format, text: string): void {
  const content = format === "png" ? Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)) : text;
  saveFile(content, `hookscope.${format}`, TYPES[format]);
}
