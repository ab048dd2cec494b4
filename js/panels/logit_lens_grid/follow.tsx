// The followed tokens: a field to add a token, and a chip for each token, which also chooses the colour of the grid.
import { useState } from "preact/hooks";
import { Field } from "../../lib/field";
import { canAsk, useTrait, type ViewModel } from "../../lib/model";
import { useStore } from "../../lib/store";
import { Token, visibleText } from "../../lib/tokens";
import { type Measure, needsTarget } from "./measures";
import type { LensState } from "./state";
import { typedToken } from "./words";

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
        <span class="hs-small-field" title="A token, such as ␣Oslo; Enter adds it">
          <span aria-hidden="true">follow</span>
          <Field
            name="follow"
            label="Follow a token"
            value={typed}
            readonly={false}
            problem={undefined}
            onType={setTyped}
            onEnter={() => {
              state.follow(typedToken(typed));
              setTyped("");
            }}
          />
        </span>
      )}
      {targets.map((text, i) => (
        <span key={text} class="hs-target" data-hs="target" data-chosen={choosable && i === chosen}>
          {choosable ? (
            <button
              type="button"
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
