// The lines of a chart in words: a table for screen readers.
import { fixed } from "../../lib/format";
import { visibleText } from "../../lib/tokens";
import type { Line, Quantity } from "./lines";

export function valueText(quantity: Quantity, value: number | undefined): string {
  return fixed(value, quantity === "rank" ? 0 : quantity === "logit" ? 1 : 2);
}

export function SaidLines({
  lines,
  labels,
  quantity,
}: {
  lines: Line[];
  labels: string[];
  quantity: Quantity;
}) {
  return (
    <table class="hs-sr">
      <caption>{quantity} through the layers</caption>
      <thead>
        <tr>
          <th scope="col">token</th>
          {labels.map((label) => (
            <th key={label} scope="col">
              {label}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <tr key={line.key}>
            <th scope="row">{`${visibleText(line.token)} ${line.side}`}</th>
            {labels.map((label, row) => (
              <td key={label}>{valueText(quantity, line.values[quantity][row])}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
