// The most likely next tokens of one run: token, bar, probability and, if there is room, logit.
import type { ComponentChildren } from "preact";
import { fixed } from "./format";
import { type ArrayJson, decodeFloats, decodeInts } from "./ndarray";
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
  /** null if they are not known; faint rows keep the space. */
  tokens: TopToken[] | null;
  rows: number;
  logits: boolean;
  /** Wraps a token's text in a control. */
  around?: (token: TopToken, text: ComponentChildren) => ComponentChildren;
}

/** Smaller probabilities are shown as 0.00. */
const SMALL = 0.005;

export function TopTokens({ name, heading, tokens, rows, logits, around }: TopTokensProps) {
  return (
    <div class="hs-top" data-hs={`top-${name}`}>
      <div class="hs-top-head hs-small">
        <span>{heading}</span>
        <span class="hs-top-columns" aria-hidden="true">
          <span>prob.</span>
          {logits && <span class="hs-logit">logit</span>}
        </span>
      </div>
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

/** A table cell with a bar; empty if the share is null. */
export function MiniBar({ share, tone }: { share: number | null; tone: Tone | null }) {
  return (
    <td class="hs-mini-cell" aria-hidden="true">
      <span class="hs-mini">
        {share !== null && (
          <i class={tone ? `hs-fill-${tone}` : undefined} style={{ width: `${share * 100}%` }} />
        )}
      </span>
    </td>
  );
}

function Row({ token, logits, around }: Pick<TopTokensProps, "logits" | "around"> & { token: TopToken }) {
  const text = <Token text={token.token} />;
  return (
    <tr>
      <td title={`${visibleText(token.token)} · id ${token.id} · logit ${fixed(token.logit)}`}>
        {around ? around(token, text) : text}
      </td>
      <MiniBar share={token.prob >= SMALL ? Math.min(1, token.prob) : null} tone={token.tone} />
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

export interface TopJson {
  ids: ArrayJson;
  logits: ArrayJson;
  probs: ArrayJson;
}

export interface TopArrays {
  k: number;
  ids: Int32Array;
  logits: Float32Array;
  probs: Float32Array;
}

export function decodeTop(json: TopJson): TopArrays {
  const k = json.ids.shape.at(-1) ?? 0;
  return { k, ids: decodeInts(json.ids), logits: decodeFloats(json.logits), probs: decodeFloats(json.probs) };
}

/** The tokens of the run at `index` in the arrays. */
export function topTokens(
  { k, ids, logits, probs }: TopArrays,
  textOf: (id: number) => string,
  toneOf: (token: string) => Tone | null,
  index = 0,
): TopToken[] {
  return range(k).map((i) => {
    const at = index * k + i;
    const id = ids[at] ?? -1;
    const token = textOf(id);
    return { id, token, logit: logits[at] ?? Number.NaN, prob: probs[at] ?? Number.NaN, tone: toneOf(token) };
  });
}
