// A heatmap of layer by head, with the MLPs as an extra column. A click pins a component.
import { useMemo, useRef, useState } from "preact/hooks";
import { divergingScale } from "../../lib/color";
import { among, signed } from "../../lib/format";
import { Grid } from "../../lib/grid";
import { type GridShape, plainLabel } from "../../lib/grid_layout";
import type { PaintCell } from "../../lib/grid_paint";
import { Legend, type LegendScale, legendRoom } from "../../lib/legend";
import { largestOf, range } from "../../lib/range";
import { type Palette, usePalette } from "../../lib/theme";
import { useWidth } from "../../lib/use_width";
import type { Attributed, Attribution } from "./attribution";
import { cellOf, headTable } from "./attribution_sums";
import { roundEnd, short } from "./measures";

interface ByHeadProps {
  attribution: Attribution;
  shown: Attributed;
  rising: boolean;
  /** The pinned component. */
  pinned: number | null;
  onPin(component: number | null): void;
}

/** The grid, its colours and its legend, which the picture uses too. */
export function headMap(attribution: Attribution, shown: Attributed, rising: boolean, palette: Palette) {
  const { values, columns } = headTable(attribution, shown.values);
  const largest = largestOf(values);
  const domain = roundEnd(largest);
  const scale = divergingScale(palette, domain);
  const paint: PaintCell = (index) => {
    const value = values[index] ?? Number.NaN;
    if (!Number.isFinite(value)) return null;
    return { fill: scale.fill(value), ink: scale.ink(value), text: among(largest, value), mark: null };
  };
  const named = attribution.heads > 0;
  const shape: GridShape = {
    rows: range(attribution.layers).map((layer) => plainLabel(String(layer), `layer ${layer}`)),
    columns: range(columns).map((i) => {
      if (i === columns - 1) return plainLabel("mlp", "MLP");
      return named ? plainLabel(String(i), `head ${i}`) : plainLabel("attn", "attention");
    }),
    panels: [],
    corner: named ? "layer \u00d7 head" : "layer",
    flip: rising,
    rise: rising,
    compact: true,
  };
  const end = short(domain);
  const legend: LegendScale = {
    scale,
    domain,
    ticks: [
      { value: 0, text: "0" },
      { value: domain, text: `+${end}`, word: "logit" },
      { value: -domain, text: `\u2212${end}` },
    ],
  };
  return { values, largest, columns, shape, paint, legend };
}

export function ByHead({ attribution, shown, rising, pinned: component, onPin }: ByHeadProps) {
  const area = useRef<HTMLDivElement>(null);
  const width = useWidth(area);
  const palette = usePalette();
  const [active, setActive] = useState<number | null>(null);
  const map = useMemo(
    () => headMap(attribution, shown, rising, palette),
    [attribution, shown.values, rising, palette],
  );
  const { values, largest, columns, shape, paint, legend } = map;
  const isHead = (index: number) => attribution.heads > 0 && index % columns < columns - 1;
  const describe = (index: number) => {
    const [layer, column] = [Math.floor(index / columns), index % columns];
    const name = isHead(index)
      ? `head ${layer}.${column}`
      : `${column === columns - 1 ? "mlp" : "attention"} ${layer}`;
    return `${name}, ${signed(values[index], largest)}`;
  };
  const pinned = component === null ? null : cellOf(attribution, component);
  // A cell that is a sum over neurons has no place of its own.
  const componentAt = (index: number) =>
    shown.values.findIndex((_, i) => cellOf(attribution, i) === index && attribution.kindOf(i) !== "neuron");
  const rows = Math.min(160, attribution.layers * 24 - 1);
  const named = active ?? pinned;
  return (
    <>
      <div class="hs-grid-area" ref={area} data-hs="by-head">
        <Grid
          label="Attribution by layer and head"
          shape={shape}
          room={width - legendRoom(width)}
          startColumn={0}
          paint={paint}
          describe={describe}
          revision={shown.values}
          pinned={pinned}
          picked={NONE}
          onActive={setActive}
          onPin={(index) => {
            const at = index === null ? null : componentAt(index);
            if (at !== -1) onPin(at);
          }}
          onPick={null}
        />
        <Legend
          {...legend}
          height={Math.max(72, rows)}
          help="Blue: towards the answer; orange: away from it"
        />
      </div>
      <p class="hs-detail-words hs-said" data-hs="head-words">
        {named !== null && named < values.length && <b>{describe(named)}</b>}
      </p>
    </>
  );
}

const NONE: readonly number[] = [];
