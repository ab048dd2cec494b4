// The components that write most towards the answer and most away from it, as signed bars. A click pins a component.
import { signed } from "../../lib/format";
import { largestOf } from "../../lib/range";
import { MiniBar } from "../../lib/top_tokens";
import type { Attribution } from "./attribution";
import { extremes } from "./attribution_sums";

interface ComponentsProps {
  attribution: Attribution;
  values: Float32Array;
  pinned: number | null;
  onPin(component: number | null): void;
}

const MOST = 20;

export function Components({ attribution, values, pinned, onPin }: ComponentsProps) {
  const { up, down } = extremes(values, MOST);
  const largest = largestOf(values);
  const { answer, wrong_answer } = attribution.json.params;
  const lists = [
    { name: "up", title: `towards ${answer.trim() || "the answer"}`, cells: up, tone: "clean" },
    {
      name: "down",
      title: wrong_answer ? `towards ${wrong_answer.trim()}` : "away from it",
      cells: down,
      tone: "corrupt",
    },
  ] as const;
  return (
    <div
      class="hs-components hs-focusable"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard reads its rows here
      tabIndex={0}
      role="group"
      aria-label="Components"
      data-hs="components"
    >
      {lists.map(({ name, title, cells, tone }) => (
        <table key={name} class="hs-top-table" data-hs={`components-${name}`}>
          <caption class="hs-top-head hs-small">{title}</caption>
          <tbody>
            {cells.map((i) => (
              <tr key={i} data-pinned={i === pinned}>
                <th scope="row" class="hs-component">
                  <button
                    type="button"
                    class="hs-plain"
                    aria-pressed={i === pinned}
                    onClick={() => onPin(i === pinned ? null : i)}
                  >
                    {attribution.json.labels[i]}
                  </button>
                </th>
                <MiniBar share={Math.abs(values[i] ?? 0) / largest} tone={tone} />
                <td class="hs-number">{signed(values[i])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ))}
    </div>
  );
}
