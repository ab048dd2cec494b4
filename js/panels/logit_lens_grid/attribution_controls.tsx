// The controls above the attribution: the answers, the position and the side.
import { useEffect, useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { AnswerFields, type Answers, typedToken } from "../../lib/field";
import { isWhole, SmallField, takeNumber } from "../../lib/fields";
import { canAsk, isBusy, type Status, useSelection, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { across, indexIn, inverse } from "../../lib/place";
import { type ShownSide, SideMenu } from "../../lib/side_menu";
import { Cancel, ProgressBar, WaitingWords } from "../../lib/status";
import { visibleText } from "../../lib/tokens";
import type { Attribution } from "./attribution";
import type { Lens } from "./result";
import { answersOf } from "./sides";
import type { LensState } from "./state";

interface AttributionControlsProps extends PanelProps<LensState> {
  attribution: Attribution | null;
  lens: Lens | null;
  side: ShownSide;
}

/** The last position of each prompt, even if the prompts of a pair differ in length. */
const LAST = -1;

interface Asked extends Answers {
  /** null for the last position. */
  position: number | null;
}

/** The answers that were attributed last, or else the pair's answers. */
function startingWith(attribution: Attribution | null, lens: Lens | null): Asked {
  const made = attribution?.json.params;
  if (made) {
    const position = made.position === LAST ? null : made.position;
    return { answer: made.answer, wrong: made.wrong_answer ?? "", position };
  }
  const pair = lens?.json.params.pair;
  const [answer = "", wrong = ""] = [answersOf(pair, "clean")[0], answersOf(pair, "corrupt")[0]];
  return { answer, wrong, position: null };
}

export function AttributionControls({ model, state, attribution, lens, side }: AttributionControlsProps) {
  const start = startingWith(attribution, lens);
  const [asked, setAsked] = useState(start);
  const key = JSON.stringify(start);
  useEffect(() => setAsked(start), [key]);
  const busy = isBusy(useTrait<Status>(model, "status"));
  const place = across(useSelection(model) ?? {}, "clean", inverse(lens?.json.counterparts ?? null));
  const positions =
    (lens?.sides.prompt ?? lens?.sides.clean)?.positions ?? attribution?.at(side)?.tokens.length ?? 1;
  const position = asked.position ?? positions - 1;
  const pinned = indexIn(positions, place.position);
  const run = (change: Partial<Asked> = {}) => {
    const next = { ...asked, ...change };
    setAsked(next);
    const [answer, wrong] = [typedToken(next.answer), typedToken(next.wrong)];
    if (answer !== "") state.attribute(answer, wrong || null, next.position ?? LAST);
  };
  if (!canAsk(model)) return <Fixed model={model} attribution={attribution} side={side} />;
  return (
    <div class="hs-controls" data-hs="attribution-controls">
      <SideMenu model={model} side={side} />
      <AnswerFields
        label="Answer"
        answer={asked.answer}
        wrong={asked.wrong}
        onType={(change) => setAsked({ ...asked, ...change })}
        onEnter={() => run()}
      />
      <SmallField
        name="position"
        label="position"
        help="The answer follows this position"
        value={String(position)}
        size={4}
        take={takeNumber(
          (at) => isWhole(at, -positions, positions - 1),
          `A whole number from 0 to ${positions - 1}.`,
          (at) => run({ position: at }),
        )}
      />
      {pinned !== null && pinned !== position && (
        <Button
          name="use-pinned"
          title="Attribute at the pinned column"
          onClick={() => run({ position: pinned })}
        >
          Use pinned position, {pinned}
        </Button>
      )}
      {!busy && (
        <Button
          name="attribute"
          title="Split the answer's logit by component"
          disabled={asked.answer === ""}
          onClick={() => run()}
        >
          {attribution ? "Run again" : "Run"}
        </Button>
      )}
      <div class="hs-progress hs-small" data-hs="state">
        {busy && <ProgressBar model={model} label="Attributing" />}
        <WaitingWords rpc={state.rpc} />
        {busy && <Cancel rpc={state.rpc} />}
      </div>
    </div>
  );
}

/** The same as text, if nothing can be requested. */
function Fixed({ model, attribution, side }: Omit<AttributionControlsProps, "state" | "lens">) {
  if (!attribution) return null;
  const { answer, wrong_answer, position: asked } = attribution.json.params;
  const position = attribution.at(side)?.position ?? asked;
  return (
    <div class="hs-controls" data-hs="attribution-controls">
      <SideMenu model={model} side={side} />
      <span class="hs-muted" data-hs="params">
        {[answer, wrong_answer ?? ""].filter(Boolean).map(visibleText).join(" against ")} · position{" "}
        {position}
      </span>
    </div>
  );
}
