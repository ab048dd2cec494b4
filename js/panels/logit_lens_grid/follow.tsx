// The followed tokens: a field to add a token, and a chip for each token, which also chooses the colour of the grid.
import { useState } from "preact/hooks";
import { InlineField, typedToken } from "../../lib/inline_field";
import { canAsk, useTrait, type ViewModel } from "../../lib/model";
import { useStore } from "../../lib/store";
import { Token, visibleText } from "../../lib/tokens";
import { type Measure, needsTarget } from "./measures";
import type { LensState } from "./state";

export function Follow({ model, state }: { model: ViewModel; state: LensState }) {
  const [typed, setTyped] = useState("");
  const color = useTrait<Measure>(model, "color");
  const { value: lens } = useStore(state.shown);
  const asks = canAsk(model);
  const chosen = useStore(state.target);
  useStore(state.requested);
  const made = lens?.json.targets ?? [];
  const targets = state.choice().targets;
  const choosable = needsTarget(color) && made.length > 1;
  return (
    <div class="hs-follow" data-hs="follow">
      {asks && (
        <InlineField
          name="follow"
          caption="follow"
          label="Follow a token"
          title="A token, such as ␣Oslo; Enter adds it"
          value={typed}
          onType={setTyped}
          onEnter={() => {
            state.follow(typedToken(typed));
            setTyped("");
          }}
        />
      )}
      {targets.map((text, i) => (
        <span key={text} class="hs-target" data-hs="target" data-chosen={choosable && i === chosen}>
          {choosable ? (
            <button
              type="button"
              class="hs-plain"
              aria-pressed={i === chosen}
              title="Colour by this token"
              onClick={() => state.target.set(i)}
            >
              <Token text={text} />
            </button>
          ) : (
            <Token text={text} />
          )}
          {asks && (
            <button
              type="button"
              class="hs-plain"
              data-hs="unfollow"
              aria-label={`Stop following ${visibleText(text)}`}
              onClick={() => state.unfollow(text)}
            >
              {"\u2715"}
            </button>
          )}
        </span>
      ))}
    </div>
  );
}
