// The prompt as text. Each token's background shows how much the token under the pointer attends to it, and its underline
// how much it attends to the token under the pointer. In a causal model, the former are before that token and the latter
// after it.
import { useMemo, useRef, useState } from "preact/hooks";
import { indexAfterKey, isChoosing, keyHandler } from "../../lib/keys";
import { Token } from "../../lib/tokens";
import type { Tone } from "../../lib/top_tokens";
import { useUniqueId } from "../../lib/unique_id";
import { NOWHERE } from "./pointed";
import type { Attention, SideName } from "./result";
import type { Scene } from "./scene";
import { useTint } from "./tint";

interface TextProps {
  scene: Scene;
  /** The attention of the displayed head; null until it has arrived. */
  values: Float32Array | null;
  onLock(position: number | null): void;
}

export function Text({ scene, values, onLock }: TextProps) {
  const { attention, side, tokens, pointed, locked } = scene;
  const list = useRef<HTMLDivElement>(null);
  const id = useUniqueId();
  const [cursor, setCursor] = useState<number | null>(null);
  const at = cursor !== null && cursor < tokens.length ? cursor : locked.position;
  const tint = useTint(list, scene, values);
  const tones = useMemo(() => tokenTones(attention, side), [attention, side]);
  const spans = useMemo(
    () =>
      tokens.map((text, i) => (
        // biome-ignore lint/a11y: focus stays on the list, which names the active option
        <span
          key={`${i}`}
          id={`${id}-${i}`}
          role="option"
          class={tones[i] ? `hs-word hs-tone-${tones[i]}` : "hs-word"}
          data-hs="token"
          data-token={i}
          aria-selected={i === locked.position}
        >
          <Token text={text} />
        </span>
      )),
    [tokens, tones, id, locked.position],
  );
  const onKeyDown = keyHandler((event) => {
    const to = indexAfterKey(event.key, at, tokens.length);
    if (to !== null) {
      setCursor(to);
      pointed.at({ position: to });
      list.current?.children[to]?.scrollIntoView?.({ block: "nearest" });
    } else if (isChoosing(event) && at !== null) {
      onLock(at === locked.position ? null : at);
    } else if (event.key === "Escape") {
      onLock(null);
      pointed.at(NOWHERE);
    } else return false;
    return true;
  });
  return (
    <div
      ref={list}
      class="hs-text hs-focusable"
      data-hs="text"
      role="listbox"
      tabIndex={0}
      aria-label={`The ${side === "prompt" ? "" : `${side === "corrupt" ? side : "clean"} `}prompt by tokens; Enter locks one`}
      aria-activedescendant={at === null ? undefined : `${id}-${at}`}
      onKeyDown={onKeyDown}
      onScroll={tint}
      onBlur={() => pointed.at(NOWHERE)}
      onPointerOver={(event) => {
        const token = tokenAt(event);
        if (token !== null) pointed.at({ position: token });
      }}
      onPointerLeave={() => pointed.at(NOWHERE)}
      onClick={(event) => {
        const token = tokenAt(event);
        if (token === null) return;
        setCursor(token);
        onLock(token === locked.position && locked.source === null ? null : token);
      }}
    >
      {spans}
    </div>
  );
}

function tokenAt(event: Event): number | null {
  const token = (event.target as Element).closest<HTMLElement>("[data-token]")?.dataset.token;
  return token === undefined ? null : Number(token);
}

/** The colour of each token of the side; null if the other prompt has the same token there. */
function tokenTones({ json }: Attention, side: SideName): (Tone | null)[] {
  const { clean, corrupt } = json.sides;
  if (!clean || !corrupt) return [];
  const tone: Tone = side === "corrupt" ? "corrupt" : "clean";
  const [own, other] = tone === "clean" ? [clean, corrupt] : [corrupt, clean];
  const partners = clean.tokens.map((_, i) => (json.counterparts ? (json.counterparts[i] ?? null) : i));
  return own.tokens.map((text, i) => {
    const partner = tone === "clean" ? partners[i] : partners.indexOf(i);
    return text === other.tokens[partner ?? -1] ? null : tone;
  });
}
