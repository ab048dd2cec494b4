// What the model goes on to write without and with the changes, as it comes.
import { Token } from "../../lib/tokens";
import type { Effects } from "./effects";

export function Generated({ effects }: { effects: Effects }) {
  const { without, with_changes: changed } = effects.json;
  if (without.length === 0) return null;
  return (
    <dl class="hs-fg-generated" data-hs="generated">
      <dt>without</dt>
      <dd data-hs="generated-without">
        {without.map((text, i) => (
          <Token key={`${i}`} text={text} />
        ))}
      </dd>
      <dt>with</dt>
      <dd data-hs="generated-with">
        {changed.map((text, i) => (
          <span key={`${i}`} class={text === without[i] ? "" : "hs-fg-differs"}>
            <Token text={text} />
          </span>
        ))}
      </dd>
    </dl>
  );
}
