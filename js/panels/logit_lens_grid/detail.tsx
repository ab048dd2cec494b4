// The details of a cell: its place, how certain the lens is there, the followed tokens, and the likeliest tokens.
import type { ComponentChildren } from "preact";
import { fixed } from "../../lib/format";
import { TokenPair } from "../../lib/grid_labels";
import { Token } from "../../lib/tokens";
import { type TopToken, TopTokens, topTokens } from "../../lib/top_tokens";
import type { Lens, Side } from "./result";
import { answerTone, columnTokens, isAlone, readAt, type Shown, tokenText } from "./sides";
import { layerWords } from "./words";

interface DetailProps {
  lens: Lens;
  shown: Shown;
  row: number;
  position: number;
  pinned: boolean;
  /** null if nothing can be requested. */
  onFollow: ((token: string) => void) | null;
  children: ComponentChildren;
}

const ROWS = 10;

export function Detail({ lens, shown, row, position, pinned, onFollow, children }: DetailProps) {
  const read = readAt(shown, position);
  const followed = new Set(lens.json.targets.map(({ id }) => id));
  const around = (token: TopToken, text: ComponentChildren) =>
    !onFollow || followed.has(token.id) ? (
      text
    ) : (
      <button
        type="button"
        class="hs-plain hs-follow-token"
        title="Follow this token"
        onClick={() => onFollow(token.token)}
      >
        {text}
      </button>
    );
  return (
    <div class="hs-detail hs-part" data-hs="detail" data-sides={read.length}>
      <div class="hs-detail-cell" data-hs="detail-cell">
        <h3 class="hs-detail-place">
          {layerWords(lens, row)}, <TokenPair lines={columnTokens(lens, shown, position)} />
        </h3>
        <p class="hs-detail-words">position {position}</p>
        {read.map(({ side, position: at }) => (
          <CellWords key={side.name} lens={lens} shown={shown} side={side} row={row} position={at} />
        ))}
        {isAlone(shown, position) && (
          <p class="hs-detail-words">No token of the corrupt prompt corresponds to this one.</p>
        )}
        {!pinned && <p class="hs-detail-words hs-hint">Hover over a cell to read it, click to pin it.</p>}
      </div>
      {read.map(({ side, position: at }) => (
        <TopTokens
          key={side.name}
          name={side.name}
          heading={shown.second ? side.name : "likeliest next tokens"}
          tokens={topOf(lens, side, row, at)}
          rows={Math.min(ROWS, side.k)}
          logits
          around={around}
        />
      ))}
      {children}
    </div>
  );
}

interface CellWordsProps {
  lens: Lens;
  shown: Shown;
  side: Side;
  row: number;
  position: number;
}

function CellWords({ lens, shown, side, row, position }: CellWordsProps) {
  const cell = row * side.positions + position;
  if (!side.loaded[position]) return <p class="hs-detail-words">Not loaded yet.</p>;
  return (
    <p class="hs-detail-words">
      {shown.second && <span class={`hs-tone-${side.name}`}>{side.name}: </span>}
      entropy <b>{fixed(side.entropy[cell])} nats</b>
      <span class="hs-followed">
        KL to the end <b>{fixed(side.kl_to_final[cell])} nats</b>
      </span>
      {lens.json.targets.map(({ id, text }, target) => (
        <span key={id} class="hs-followed">
          <Token text={text} /> <b>{fixed(side.target_prob[cell * side.t + target])}</b>, rank{" "}
          <b>{side.target_rank[cell * side.t + target]}</b>
        </span>
      ))}
    </p>
  );
}

function topOf(lens: Lens, side: Side, row: number, position: number): TopToken[] | null {
  if (!side.loaded[position]) return null;
  const top = { k: side.k, ids: side.top_ids, logits: side.top_logits, probs: side.top_probs };
  return topTokens(
    top,
    (id) => tokenText(lens, id),
    (token) => answerTone(lens.json, token),
    row * side.positions + position,
  );
}
