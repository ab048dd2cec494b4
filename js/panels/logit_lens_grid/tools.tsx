// Export: the Python code, a table, all numbers, a picture.
import { Button, CopyButton } from "../../lib/controls";
import { useTrait, type ViewModel } from "../../lib/model";
import { toCsv, toTsv } from "../../lib/table";
import { usePalette } from "../../lib/theme";
import type { Attributed, Attribution } from "./attribution";
import {
  attributionRows,
  lensCsv,
  saveAttributionPicture,
  saveCsv,
  saveLensPicture,
  toTable,
  type View,
} from "./export";

interface ToolsProps {
  code: string | null | undefined;
  table(): string;
  csv(): void;
  picture(): void;
}

function Tools({ code, table, csv, picture }: ToolsProps) {
  return (
    <span class="hs-tools">
      {code && (
        <CopyButton name="copy-code" title="Copy the Python code of what is shown" text={() => code}>
          Copy code
        </CopyButton>
      )}
      <CopyButton name="copy" title="Copy as a table" text={table}>
        Copy
      </CopyButton>
      <Button name="csv" title="Save all numbers as comma-separated values" quiet onClick={csv}>
        CSV
      </Button>
      <Button name="png" title="Save as a picture" quiet onClick={picture}>
        PNG
      </Button>
    </span>
  );
}

export function LensTools({
  model,
  view,
  title,
  words,
}: {
  model: ViewModel;
  view: View;
  title: string;
  words: string;
}) {
  const palette = usePalette();
  return (
    <Tools
      code={useTrait<string | null | undefined>(model, "code")}
      table={() => toTable(view)}
      csv={() => saveCsv(lensCsv(view), `logit-lens-${view.lens.json.params.stream}`)}
      picture={() => saveLensPicture(view, palette, title, words)}
    />
  );
}

interface AttributionToolsProps {
  model: ViewModel;
  attribution: Attribution;
  shown: Attributed;
  rising: boolean;
  words: string;
}

export function AttributionTools({ model, attribution, shown, rising, words }: AttributionToolsProps) {
  const palette = usePalette();
  const rows = () => attributionRows(attribution, shown);
  return (
    <Tools
      code={useTrait<string | null | undefined>(model, "attribution_code")}
      table={() => toTsv(rows())}
      csv={() => saveCsv(toCsv(rows()), "logit-attribution")}
      picture={() => saveAttributionPicture(attribution, shown, rising, palette, words)}
    />
  );
}
