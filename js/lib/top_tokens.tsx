// The most likely next tokens of one run: token, bar, probability and, where there is room for it, logit.
import type { ComponentChildren } from "preact";
import { fixed } from "./format";
import { range } from "./range";
import { Token, visibleText } from "./tokens";

export type Tone = "clean" | "corrupt";

export interface TopToken {
  id: number;
  token: string;
  logit: number;
  prob: number;
  tone: Tone | null;
}

interface TopTokensProps {
  name: string;
  heading: ComponentChildren;
  /** null where they are not known: faint rows keep the place. */
  tokens: TopToken[] | null;
  rows: number;
  logits: boolean;
  /** What can be done with a token, around its text. */
  around?: (token: TopToken, text: ComponentChildren) => ComponentChildren;
}

/** Smaller probabilities are shown as 0.00. */
const SMALL = 0.005;

export function TopTokens({ name, heading, tokens, rows, logits, around }: TopTokensProps) {
  return (
    <div class="hs-top" data-hs={`top-${name}`}>
      <div class="hs-top-head">{heading}</div>
      <table class="hs-top-table" aria-label={`most likely next tokens, ${name}`}>
        <tbody>
          {range(rows).map((i) => {
            const token = tokens?.[i];
            if (token) return <Row key={i} token={token} logits={logits} around={around} />;
            return <Blank key={i} row={i} logits={logits} pending={tokens === null} />;
          })}
        </tbody>
      </table>
    </div>
  );
}

function Row({ token, logits, around }: Pick<TopTokensProps, "logits" | "around"> & { token: TopToken }) {
  const text = <Token text={token.token} />;
  const width = `${Math.min(1, Math.max(0, token.prob)) * 100}%`;
  return (
    <tr>
      <td title={`${visibleText(token.token)} · id ${token.id} · logit ${fixed(token.logit)}`}>
        {around ? around(token, text) : text}
      </td>
      <td class="hs-mini-cell" aria-hidden="true">
        <span class="hs-mini">
          {token.prob >= SMALL && (
            <i class={token.tone ? `hs-fill-${token.tone}` : undefined} style={{ width }} />
          )}
        </span>
      </td>
      <td class={token.prob < SMALL ? "hs-number hs-muted" : "hs-number"}>{fixed(token.prob)}</td>
      {logits && <td class="hs-number hs-muted hs-logit">{fixed(token.logit)}</td>}
    </tr>
  );
}

function Blank({ row, logits, pending }: { row: number; logits: boolean; pending: boolean }) {
  const bar = (width: number) => pending && <span class="hs-placeholder" style={{ width: `${width}px` }} />;
  return (
    <tr>
      <td>{bar(64 - ((row * 17) % 28))}</td>
      <td class="hs-mini-cell" />
      <td class="hs-number">{bar(24)}</td>
      {logits && <td class="hs-number hs-logit" />}
    </tr>
  );
}
