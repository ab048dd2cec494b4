// How much of what the model does a circuit keeps, under every combination of ablation, level and positions.
import { useMemo } from "preact/hooks";
import { divergingScale, toCss } from "../../lib/color";
import type { Choice } from "../../lib/controls";
import { count, fixed } from "../../lib/format";
import { useTrait, type ViewModel } from "../../lib/model";
import { usePalette } from "../../lib/theme";
import type { Faith, Robustness, Setting } from "./runs";

type Named = Choice & { name: string };

interface TableProps {
  model: ViewModel;
  robustness: Robustness;
  /** What the numbers say, in a sentence. */
  words: string;
  setting?: Setting | null;
  onChoose: ((at: Setting) => void) | null;
}

/** The faithfulness under every combination of ablation, level and positions. */
export function RobustnessTable({ model, robustness, words, setting = null, onChoose }: TableProps) {
  const info = useTrait<Record<"ablations" | "levels" | "positions", Named[]>>(model, "info");
  const { json } = robustness;
  const known = (kind: "ablations" | "levels" | "positions") =>
    info[kind].filter(({ name }) => json[kind].includes(name));
  const [ablations, levels, positions] = [known("ablations"), known("levels"), known("positions")];
  return (
    <div>
      <p class="hs-detail-words hs-spread" data-hs="spread">
        {words}
      </p>
      <table class="hs-faith" data-hs="robustness">
        <caption class="hs-sr">How much of the gap the circuit alone keeps</caption>
        <thead>
          <tr>
            <td colSpan={2} />
            <th scope="colgroup" colSpan={positions.length}>
              positions
            </th>
          </tr>
          <tr>
            <th scope="col">ablation</th>
            <th scope="col">level</th>
            {positions.map(({ name, label, help }) => (
              <th key={name} scope="col" title={help}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {ablations.flatMap((ablation) =>
            levels.map((level, i) => (
              <tr key={`${ablation.name} ${level.name}`} data-first={i === 0}>
                {i === 0 && (
                  <th scope="rowgroup" rowSpan={levels.length} title={ablation.help}>
                    {ablation.label}
                  </th>
                )}
                <th scope="row" title={level.help}>
                  {level.label}
                </th>
                {positions.map((position) => {
                  const at = { ablation: ablation.name, level: level.name, positions: position.name };
                  return (
                    <Cell
                      key={position.name}
                      faith={robustness.of(at)}
                      words={`${ablation.label} ablation of ${level.label}s, positions: ${position.label}`}
                      chosen={same(setting, at)}
                      onChoose={onChoose && (() => onChoose(at))}
                    />
                  );
                })}
              </tr>
            )),
          )}
        </tbody>
      </table>
      {Object.entries(json.reasons).map(([name, reason]) => (
        <p key={name} class="hs-quiet" data-hs="reason">
          {reason}
        </p>
      ))}
    </div>
  );
}

/** The least and the most that is kept, in any of the settings. */
export function spreadOf({ json, of }: Robustness): string | null {
  const every = json.ablations.flatMap((ablation) =>
    json.levels.flatMap((level) => json.positions.map((positions) => of({ ablation, level, positions }).f)),
  );
  const known = every.filter(Number.isFinite);
  if (known.length === 0) return null;
  return [Math.min(...known), Math.max(...known)].map(percentOf).join(" to ");
}

export function spreadWords(robustness: Robustness): string {
  const [edges = 0, nodes = 0] = robustness.counts;
  const spread = spreadOf(robustness);
  const what = `The circuit alone, ${count(edges, "edge")} or the ${count(nodes, "node")} that they leave`;
  if (spread === null) return `${what}.`;
  return `${what}, keeps ${spread} of what the model does, depending on what stands in for the rest.`;
}

const percentOf = (f: number): string => `${fixed(100 * f, 0)}%`;
const same = (a: Setting | null, b: Setting) =>
  a !== null && a.ablation === b.ablation && a.level === b.level && a.positions === b.positions;

interface CellProps {
  faith: Faith;
  words: string;
  chosen: boolean;
  onChoose: (() => void) | null;
}

function Cell({ faith, words, chosen, onChoose }: CellProps) {
  const palette = usePalette();
  const scale = useMemo(() => divergingScale(palette, 1), [palette]);
  const { f, low, high, rest } = faith;
  if (!Number.isFinite(f)) return <td class="hs-faith-none">{"\u2013"}</td>;
  const interval = Number.isFinite(low) ? `, 95% interval ${percentOf(low)} to ${percentOf(high)}` : "";
  const title = `${words}: the circuit ${percentOf(f)}${interval}; everything but it ${percentOf(rest)}`;
  const style = { background: toCss(scale.fill(f)), color: toCss(scale.ink(f)) };
  return (
    <td>
      {onChoose ? (
        <button
          type="button"
          class="hs-plain hs-focusable"
          title={`${title}. Click for circuits of every size`}
          aria-pressed={chosen}
          style={style}
          onClick={onChoose}
        >
          {percentOf(f)}
        </button>
      ) : (
        <span title={title} data-chosen={chosen} style={style}>
          {percentOf(f)}
        </span>
      )}
    </td>
  );
}
