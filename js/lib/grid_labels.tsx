// The labels beside and under the cells of a grid.
import type { ComponentChildren } from "preact";
import {
  drawnRow,
  type GridLabel,
  type GridLayout,
  labelLines,
  PANEL_GAP,
  panelAt,
  panelCorner,
  placeOf,
} from "./grid_layout";
import { range } from "./range";
import { Token } from "./tokens";

interface LabelsProps {
  layout: GridLayout;
  labels: GridLabel[];
  active: number | null;
}

/** Panels side by side share their row labels. */
export function RowLabels({
  layout,
  labels,
  active,
  children,
}: LabelsProps & { children?: ComponentChildren }) {
  const place = active === null ? null : placeOf(layout, active);
  return (
    <div class="hs-row-labels">
      {range(Math.ceil(layout.panels / layout.across)).map((band) => {
        const { top } = panelCorner(layout, panelAt(layout, 0, band) ?? 0);
        const current = place && panelCorner(layout, place.panel).top === top ? place.row : -1;
        return labels.map((label, row) => (
          <span
            key={`${band} ${label.title}`}
            class={row === current ? "hs-label-active" : undefined}
            title={label.title}
            style={{
              top: `${top + drawnRow(layout, row) * layout.cellHeight}px`,
              height: `${layout.cellHeight - 1}px`,
            }}
          >
            <Lines lines={label.lines.slice(0, 1)} />
          </span>
        ));
      })}
      {children}
    </div>
  );
}

/** The column labels of the panels that are side by side. */
export function ColumnLabels({ layout, labels, active }: LabelsProps) {
  const place = active === null ? null : placeOf(layout, active);
  const width = `${layout.cellWidth - 1}px`;
  // If the labels don't fit, those of the first difference stand for them until a column is pointed at.
  const differs = labels.findIndex(({ lines }) => lines.some(({ tone }) => tone));
  return (
    <div class="hs-column-labels" style={{ columnGap: `${PANEL_GAP}px` }}>
      {range(layout.across).map((panel) => {
        const current = place && place.panel % layout.across === panel ? place.column : -1;
        return (
          <div key={panel} class={`hs-panel-labels hs-labels-${layout.labels}`}>
            {labels.map((label, column) => (
              <div
                key={label.title}
                class={[
                  column === current && "hs-label-active",
                  // A label that is wider than its column stays over its panel.
                  2 * column >= labels.length && "hs-label-end",
                ]
                  .filter(Boolean)
                  .join(" ")}
                title={label.title}
                style={{ width }}
              >
                {(layout.labels !== "unseen" || column === (current < 0 ? differs : current)) && (
                  <Lines lines={labelLines(layout, label)} />
                )}
              </div>
            ))}
          </div>
        );
      })}
    </div>
  );
}

/** The tokens of a label, side by side. */
export function TokenPair({ lines }: Pick<GridLabel, "lines">) {
  return (
    <>
      {lines.map(({ text, tone }, i) => (
        <span key={tone} class={tone ? `hs-tone-${tone}` : undefined}>
          {i > 0 && <span class="hs-muted"> / </span>}
          <Token text={text} />
        </span>
      ))}
    </>
  );
}

function Lines({ lines }: Pick<GridLabel, "lines">) {
  return (
    <>
      {lines.map((line) => (
        <span key={line.tone} class={line.tone ? `hs-differs hs-tone-${line.tone}` : undefined}>
          <Token text={line.text} />
        </span>
      ))}
    </>
  );
}
