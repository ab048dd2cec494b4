// The export buttons: Python code, a table, all numbers, a picture.
import { saveCsv } from "../../lib/clipboard";
import { Tools } from "../../lib/head";
import { useTrait, type ViewModel } from "../../lib/model";
import { toCsv, toTsv } from "../../lib/table";
import { usePalette } from "../../lib/theme";
import type { Attributed, Attribution } from "./attribution";
import {
  attributionRows,
  lensCsv,
  saveAttributionPicture,
  saveLensPicture,
  toTable,
  type View,
} from "./export";

interface LensToolsProps {
  model: ViewModel;
  view: View;
  title: string;
  words: string;
}

export function LensTools({ model, view, title, words }: LensToolsProps) {
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
