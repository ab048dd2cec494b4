// The export buttons: Python code, a table, all numbers, a picture.
import { saveCsv } from "../../lib/clipboard";
import { Tools } from "../../lib/head";
import { useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
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
import type { LensState } from "./state";

type Props = PanelProps<LensState>;

interface LensToolsProps extends Props {
  view: View;
  title: string;
  words: string;
}

export function LensTools({ model, state, view, title, words }: LensToolsProps) {
  const palette = usePalette();
  return (
    <Tools
      code={useTrait<string | null | undefined>(model, "code")}
      table={() => toTable(view)}
      csv={() => saveCsv(lensCsv(view), `logit-lens-${view.lens.json.params.stream}`)}
      picture={() => saveLensPicture(view, palette, title, words)}
      held={view.lens.json}
      kernel={{ model, state }}
    />
  );
}

interface AttributionToolsProps extends Props {
  attribution: Attribution;
  shown: Attributed;
  rising: boolean;
  words: string;
}

export function AttributionTools({ model, state, attribution, shown, rising, words }: AttributionToolsProps) {
  const palette = usePalette();
  const rows = () => attributionRows(attribution, shown);
  return (
    <Tools
      code={useTrait<string | null | undefined>(model, "attribution_code")}
      table={() => toTsv(rows())}
      csv={() => saveCsv(toCsv(rows()), "logit-attribution")}
      picture={() => saveAttributionPicture(attribution, shown, rising, palette, words)}
      held={attribution.json}
      kernel={{ model, state }}
    />
  );
}
