// Likely tokens that can be clicked to become the answer of a pair's side.
import type { ComponentChildren } from "preact";
import type { Tone, TopToken } from "./top_tokens";

/** Makes the tokens of a side buttons that choose its answer. */
export function choosing(side: Tone, onAnswer: (side: Tone, answer: string) => void) {
  return ({ token, tone }: TopToken, text: ComponentChildren) => {
    // Half of a character is no text, so it can't be an answer.
    if (tone === side || token.includes("\ufffd")) return text;
    return (
      <button
        type="button"
        class="hs-plain hs-choose-answer"
        data-hs={`answer-${side}`}
        title={`Make it the ${side} answer`}
        onClick={() => onAnswer(side, token)}
      >
        {text}
      </button>
    );
  };
}
