// The logit attribution of one head, by source token.
import { useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { AnswerFields, typedToken } from "../../lib/field";
import { signed } from "../../lib/format";
import { decodeFloats } from "../../lib/ndarray";
import { Notes } from "../../lib/status";
import { TokenStrip } from "../../lib/token_strip";
import { visibleText } from "../../lib/tokens";
import {
  ActionPanel,
  type ActionProps,
  type AttributedJson,
  type AttributionJson,
  useAnswer,
} from "./head_actions";
import { readInfo } from "./scene";

export function AttributionPanel(props: ActionProps) {
  const { model, state, scene, head } = props;
  const answer = useAnswer<AttributionJson>(props, "head_attribution");
  const reason = readInfo(model).actions?.attribution_reason ?? null;
  const [typed, setTyped] = useState({ answer: "", wrong: "" });
  const run = () => {
    const [right, wrong] = [typed.answer, typed.wrong].map(typedToken);
    state.act("attribute", "attribute_head", scene.attention.headAt(head), {
      ...(right ? { answer: right } : {}),
      ...(right && wrong ? { wrong_answer: wrong } : {}),
    });
  };
  const fields = !scene.attention.isPair();
  const hint = fields
    ? "What the head writes towards an answer such as \u2423Oslo; without an answer, towards the likeliest next token."
    : "What the head writes towards the clean answer rather than the corrupt one.";
  const controls = (
    <>
      {fields && (
        <AnswerFields
          {...typed}
          label="Answer; empty: the likeliest next token"
          onType={(change) => setTyped({ ...typed, ...change })}
          onEnter={run}
        />
      )}
      <Button name="run-attribute" title={hint} onClick={run}>
        {answer ? "Attribute again" : "Attribute"}
      </Button>
    </>
  );
  return (
    <ActionPanel
      {...{ name: "attribute", model, reason, controls, hint }}
      answer={answer && <Attributed answer={answer} />}
    />
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
      <Notes name="action-warning" notes={answer.warnings} />
    </div>
  );
}

function Side({ name, side, quantity }: { name: string; side: AttributedJson; quantity: string }) {
  const sources = side.by_source && decodeFloats(side.by_source);
  return (
    <>
      <p class="hs-detail-words" data-hs={`attributed-${name}`}>
        {name !== "prompt" && <span class={`hs-tone-${name}`}>{name} </span>}
        <b>{signed(side.value)}</b> of {signed(side.total)}, rank {side.rank} of {side.of} heads
        {sources && ", by the token that it attends to:"}
      </p>
      {sources && (
        <TokenStrip
          name={`sources-${name}`}
          label={`${name}: what the head writes, by the token that it attends to`}
          tokens={side.tokens.slice(0, sources.length)}
          values={sources}
          unit={quantity}
        />
      )}
    </>
  );
}
