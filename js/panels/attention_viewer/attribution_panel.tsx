// What one head writes towards the answer, by source token.
import { useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { Field } from "../../lib/field";
import { signed } from "../../lib/format";
import { canAsk } from "../../lib/model";
import { decodeFloats } from "../../lib/ndarray";
import { visibleText } from "../../lib/tokens";
import type { AttributedJson, AttributionJson } from "./actions";
import { type ActionProps, useAnswer } from "./head_actions";
import { Warnings } from "./patch_panel";
import { readInfo } from "./scene";
import { TokenStrip } from "./token_strip";

export function AttributionPanel(props: ActionProps) {
  const { model, state, scene, head } = props;
  const answer = useAnswer<AttributionJson>(props, "head_attribution");
  const reason = readInfo(model).actions?.attribution_reason ?? null;
  const [typed, setTyped] = useState({ answer: "", wrong: "" });
  if (reason && !answer) {
    return (
      <p class="hs-quiet" data-hs="action-reason">
        {reason}
      </p>
    );
  }
  const run = () => {
    const [right, wrong] = [typed.answer, typed.wrong].map((text) => text.replaceAll("\u2423", " "));
    state.act("attribute", "attribute_head", scene.attention.headAt(head), {
      ...(right ? { answer: right } : {}),
      ...(right && wrong ? { wrong_answer: wrong } : {}),
    });
  };
  const fields = !scene.attention.isPair();
  return (
    <div class="hs-panel" data-hs="panel-attribute">
      {canAsk(model) && (
        <div class="hs-controls">
          {fields &&
            (["answer", "wrong"] as const).map((name) => (
              <span key={name} class="hs-small-field">
                <span aria-hidden="true">{name === "answer" ? "answer" : "against"}</span>
                <Field
                  name={name}
                  label={
                    name === "answer" ? "Answer; empty: the likeliest next token" : "Wrong answer, optional"
                  }
                  value={typed[name]}
                  readonly={false}
                  problem={undefined}
                  onType={(text) => setTyped({ ...typed, [name]: text })}
                  onEnter={run}
                />
              </span>
            ))}
          <Button name="run-attribute" onClick={run}>
            {answer ? "Attribute again" : "Attribute"}
          </Button>
        </div>
      )}
      {answer ? (
        <Attributed answer={answer} />
      ) : (
        <p class="hs-quiet">
          {fields
            ? "What the head writes towards an answer such as \u2423Oslo; without an answer, towards the likeliest next token."
            : "What the head writes towards the clean answer rather than the corrupt one."}
        </p>
      )}
    </div>
  );
}

function Attributed({ answer }: { answer: AttributionJson }) {
  const names = (tokens: AttributionJson["answer"]) => [tokens ?? []].flat().map(visibleText).join(" or ");
  const wrong = names(answer.wrong_answer);
  const against = wrong && ` against ${wrong}`;
  return (
    <div data-hs="attribution-result">
      <p class="hs-detail-words">
        {answer.quantity} of {names(answer.answer)}
        {against}
        {answer.note && `; ${answer.note}`}
      </p>
      {Object.entries(answer.sides).map(([name, side]) => (
        <Side key={name} name={name} side={side} quantity={answer.quantity} />
      ))}
      <Warnings warnings={answer.warnings} />
    </div>
  );
}

function Side({ name, side, quantity }: { name: string; side: AttributedJson; quantity: string }) {
  const sources = side.by_source && decodeFloats(side.by_source);
  return (
    <>
      <p class="hs-detail-words" data-hs={`attributed-${name}`}>
        {name !== "prompt" && <span class={`hs-tone-${name}`}>{name} </span>}
        <b>{signed(side.value)}</b> of {signed(side.total)}, number {side.rank} of {side.of} heads
        {sources && ", by the token that it looks at:"}
      </p>
      {sources && (
        <TokenStrip
          name={`sources-${name}`}
          label={`${name}: what the head writes, by the token that it looks at`}
          tokens={side.tokens.slice(0, sources.length)}
          values={sources}
          unit={quantity}
        />
      )}
    </>
  );
}
