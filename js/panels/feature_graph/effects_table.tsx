// The next token before and after the changes, and whether the graph foretold them.
import { fixed, signed } from "../../lib/format";
import { Notes } from "../../lib/status";
import { Token, visibleText } from "../../lib/tokens";
import type { Effects, TokenEffect } from "./effects";
import { chance } from "./words";

const LISTED = 10;

export function EffectsTable({ effects, frozen }: { effects: Effects; frozen: string }) {
  const tokens = [...effects.tokens].sort(
    (a, b) => Math.max(b.before, b.after) - Math.max(a.before, a.after),
  );
  const shown = tokens.slice(0, LISTED);
  const largest = Math.max(...shown.flatMap(sizesOf), 1e-9);
  return (
    <>
      <p class="hs-detail-words" data-hs="effects-said">
        {sentenceOf(effects, frozen)}
      </p>
      <table class="hs-fg-effects" data-hs="effects" aria-label="The next token before and after">
        <thead>
          <tr>
            <th scope="col">token</th>
            <th scope="col">before</th>
            <th scope="col">after</th>
            <th scope="col" title="By how much its logit minus the mean logit moved, in the model itself">
              measured
            </th>
            <th scope="col" title="The same, as the graph says it">
              predicted
            </th>
            <th scope="col">bar measured, mark predicted</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((one) => (
            <tr key={one.id}>
              <th scope="row">
                <Token text={one.text} />
              </th>
              <td class="hs-number hs-muted">{chance(one.before)}</td>
              <td class="hs-number">{chance(one.after)}</td>
              <td class="hs-number">{signed(one.measured, largest)}</td>
              <td class="hs-number hs-muted">{signed(one.predicted, largest)}</td>
              <td aria-hidden="true">
                <Pair one={one} largest={largest} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Notes notes={effects.json.warnings} />
    </>
  );
}

const sizesOf = ({ measured, predicted }: TokenEffect): number[] =>
  [measured, predicted].filter(Number.isFinite).map(Math.abs);

/** What was measured as a bar from the middle, and what was predicted as a mark on it. */
function Pair({ one, largest }: { one: TokenEffect; largest: number }) {
  const at = (value: number) => 50 + (50 * value) / largest;
  const [low, high] = [Math.min(50, at(one.measured)), Math.max(50, at(one.measured))];
  return (
    <span class="hs-fg-pair">
      <i
        class={`hs-fill-${one.measured < 0 ? "corrupt" : "clean"}`}
        style={{ left: `${low}%`, width: `${high - low}%` }}
      />
      {Number.isFinite(one.predicted) && <b style={{ left: `${at(one.predicted)}%` }} />}
    </span>
  );
}

function sentenceOf({ tokens, agreement }: Effects, frozen: string): string {
  const known = tokens.filter(({ predicted }) => Number.isFinite(predicted));
  const first = known.reduce<TokenEffect | null>(
    (best, one) => (best && best.before >= one.before ? best : one),
    null,
  );
  if (!first) return "The graph explains none of these tokens, so it predicts nothing of them.";
  const said = `The graph predicted ${signed(first.predicted)} for the logit of ${visibleText(first.text)}; the model did ${signed(first.measured)}.`;
  // A correlation alone would hide that all of them are wrong in the same way.
  const right = known.filter((one) => one.predicted * one.measured > 0).length;
  const all =
    agreement === null
      ? ` It explains ${known.length} of these tokens; a correlation takes three.`
      : ` Of the ${known.length} tokens that it explains, ${right} moved the way it says; the correlation is ${fixed(agreement)}.`;
  const why =
    frozen === "nothing" ? " Attention and norms respond to the change, which the graph leaves out." : "";
  return said + all + why;
}
