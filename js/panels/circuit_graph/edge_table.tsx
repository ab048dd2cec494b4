// The edges of the picture as a table, for reading them one by one and for screen readers.
import { metricValue, percent } from "../../lib/format";
import { type Edge, parseNode } from "./graph";
import type { Hovered } from "./picture";
import { longName, partName, readersName, shortName } from "./words";

/** Files have all of them. */
const MOST_ROWS = 500;

interface EdgeTableProps {
  edges: readonly Edge[];
  /** Which metric the scores are of, and its name; of a step of paths there are none. */
  metric?: { name: string | undefined; label: string };
  onHover(hovered: Hovered): void;
}

export function EdgeTable({ edges, metric, onHover }: EdgeTableProps) {
  const left = edges.length - MOST_ROWS;
  return (
    <section
      class="hs-edge-table hs-focusable"
      data-hs="edge-table"
      aria-label="Table of the edges"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
      tabIndex={0}
    >
      <table>
        <caption class="hs-sr">The edges of the picture, the largest first</caption>
        <thead>
          <tr>
            <th scope="col">sender</th>
            <th scope="col">receiver</th>
            <th scope="col">input</th>
            <th scope="col" class="hs-number">
              of the gap
            </th>
            {metric && (
              <th scope="col" class="hs-number">
                {metric.label}
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {edges.slice(0, MOST_ROWS).map((edge) => (
            <tr
              key={`${edge.from} ${edge.receiver}`}
              onPointerEnter={() => onHover({ edge })}
              onPointerLeave={() => onHover(null)}
            >
              <th scope="row" title={longName(edge.from)}>
                {shortName(edge.from)}
              </th>
              <td title={longName(edge.to)}>{readersName(edge)}</td>
              <td>{inputWord(edge)}</td>
              <td class="hs-number">{percent(edge.share)}</td>
              {metric && <td class="hs-number">{metricValue(metric.name ?? null, edge.score)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
      {left > 0 && <p class="hs-quiet">{`${left} smaller ones are left out. Save them as CSV for all.`}</p>}
    </section>
  );
}

/** Which of a head's inputs it is. Of a path a head may have all three patched together. */
function inputWord({ to, part }: Edge): string {
  if (part) return partName(part);
  return parseNode(to).head === null ? "stream" : "all";
}
