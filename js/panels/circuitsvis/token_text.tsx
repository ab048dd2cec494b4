// Tokens as text, each on the colour of its value. The token under the pointer or the keyboard cursor is reported to the
// read-out, and marked here without rendering the tokens again, since there may be thousands.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { indexAfterKey, isChoosing, keyHandler } from "../../lib/keys";
import { useTrait, type ViewModel, write } from "../../lib/model";
import { range } from "../../lib/range";
import { Store, useStore } from "../../lib/store";
import { tokenParts, visibleText } from "../../lib/tokens";
import { useUniqueId } from "../../lib/unique_id";
import { exact, type Numbers, plainNumber } from "./figure";
import type { Shade } from "./shade";

/** A token of a sample. */
export interface Place {
  sample: number;
  token: number;
}

export interface Reading {
  active: Store<Place | null>;
  pinned: Place | null;
  pin(place: Place | null): void;
}

interface TokenTextProps {
  label: string;
  sample?: number;
  tokens: readonly string[];
  values: Numbers;
  /** The offset of this sample's values. */
  from?: number;
  /** The distance from a token's value to the next token's. */
  stride?: number;
  shade: Shade;
  reading: Reading;
}

export function TokenText(props: TokenTextProps) {
  const { label, sample = 0, tokens, values, from = 0, stride = 1, shade, reading } = props;
  const ref = useRef<HTMLDivElement>(null);
  const spans = useMemo(
    () => tokens.map((token, i) => <Chip key={i} {...{ token, values, shade, i }} at={from + i * stride} />),
    [tokens, values, from, stride, shade],
  );
  const active = useMarks(ref, props);
  const inThis = active?.sample === sample ? active.token : null;
  const pinned = reading.pinned?.sample === sample ? reading.pinned.token : null;
  const show = (token: number | null) => {
    if (token !== inThis) reading.active.set(token === null ? null : { sample, token });
  };
  const toggle = (token: number) => reading.pin(token === pinned ? null : { sample, token });
  const onKeyDown = keyHandler((event) => {
    const here = inThis ?? pinned;
    const next = tokenAfterKey(ref.current, event.key, here, tokens.length);
    if (next !== null) {
      show(next);
      chipOf(ref.current, next)?.scrollIntoView?.({ block: "nearest" });
    } else if (isChoosing(event) && here !== null) toggle(here);
    else if (event.key === "Escape" && (inThis !== null || pinned !== null)) {
      show(null);
      reading.pin(null);
    } else return false;
    return true;
  });
  return (
    <div
      ref={ref}
      class="hs-cv-text hs-focusable"
      role="listbox"
      tabIndex={0}
      aria-label={label}
      data-hs="text"
      onKeyDown={onKeyDown}
      onBlur={() => show(null)}
      onPointerOver={({ target }) => show(tokenOf(target))}
      onPointerLeave={() => show(null)}
      onClick={({ target }) => {
        const token = tokenOf(target);
        if (token !== null) toggle(token);
      }}
    >
      {spans}
    </div>
  );
}

interface ChipProps {
  token: string;
  values: Numbers;
  at: number;
  i: number;
  shade: Shade;
}

function Chip({ token, values, at, i, shade }: ChipProps) {
  const value = values[at] ?? Number.NaN;
  const style = Number.isNaN(value) ? undefined : { background: shade.fill(value), color: shade.ink(value) };
  const breaks = token.split("\n").length - 1;
  return (
    <>
      {/* biome-ignore lint/a11y: the focus stays on the text, which names the token that is read */}
      <span
        role="option"
        aria-selected="false"
        class={style ? "hs-cv-token hs-token" : "hs-cv-token hs-token hs-cv-none"}
        data-token={i}
        data-value={plainNumber(values, at)}
        style={style}
      >
        {tokenParts(token).map((part) => (part.mark ? <span class="hs-mark">{part.text}</span> : part.text))}
      </span>
      {range(breaks).map((line) => (
        <br key={line} />
      ))}
    </>
  );
}

function tokenOf(target: EventTarget | null): number | null {
  const found = (target as Element | null)?.closest?.("[data-token]");
  return found ? Number(found.getAttribute("data-token")) : null;
}

/** Keeps the marks of the active and the pinned token up to date; returns the active token. */
function useMarks(ref: { current: HTMLElement | null }, props: TokenTextProps): Place | null {
  const { sample = 0, tokens, values, from = 0, stride = 1, reading } = props;
  const id = useUniqueId();
  const active = useStore(reading.active);
  const here = active?.sample === sample ? active.token : null;
  const pinned = reading.pinned?.sample === sample ? reading.pinned.token : null;
  useEffect(() => {
    const chip = chipOf(ref.current, here);
    if (!chip || here === null) return;
    chip.id = id;
    chip.dataset.active = "true";
    chip.setAttribute(
      "aria-label",
      `${visibleText(tokens[here] ?? "")}, ${exact(values, from + here * stride)}`,
    );
    ref.current?.setAttribute("aria-activedescendant", id);
    return () => {
      chip.removeAttribute("id");
      chip.removeAttribute("data-active");
      chip.removeAttribute("aria-label");
      ref.current?.removeAttribute("aria-activedescendant");
    };
  }, [here, tokens, values, from, stride]);
  useEffect(() => {
    const chip = chipOf(ref.current, pinned);
    chip?.setAttribute("aria-selected", "true");
    return () => chip?.setAttribute("aria-selected", "false");
  }, [pinned, tokens, values]);
  return active;
}

function chipOf(text: HTMLElement | null, token: number | null): HTMLElement | null {
  return token === null ? null : (text?.querySelector<HTMLElement>(`[data-token="${token}"]`) ?? null);
}

function tokenAfterKey(text: HTMLElement | null, key: string, here: number | null, n: number): number | null {
  if (key === "ArrowDown" || key === "ArrowUp") return here === null ? 0 : tokenInLine(text, key, here, n);
  return indexAfterKey(key, here, n);
}

/** The token above or below, which is the nearest one in the neighbouring line. */
function tokenInLine(text: HTMLElement | null, key: string, here: number, n: number): number {
  const box = chipOf(text, here)?.getBoundingClientRect();
  if (!box) return here;
  const by = key === "ArrowDown" ? 1 : -1;
  let found = here;
  let line: number | null = null;
  let nearest = Number.POSITIVE_INFINITY;
  for (let token = here + by; token >= 0 && token < n; token += by) {
    const other = chipOf(text, token)?.getBoundingClientRect();
    if (!other || Math.abs(other.top - box.top) < box.height / 2) continue;
    line ??= other.top;
    if (Math.abs(other.top - line) >= box.height / 2) break;
    const away = Math.abs(other.left + other.width / 2 - box.left - box.width / 2);
    if (away < nearest) [nearest, found] = [away, token];
  }
  return found;
}

/** `many` is true if there are several samples. */
export function useReading(model: ViewModel, many = false): Reading {
  const [active] = useState(() => new Store<Place | null>(null));
  const selection = useTrait<Partial<Place> | null>(model, "selection");
  const { sample = many ? -1 : 0, token } = selection ?? {};
  return {
    active,
    pinned: token === undefined || sample < 0 ? null : { sample, token },
    pin: (place) => {
      const token = place?.token ?? 0;
      write(model, "selection", place && (many ? { sample: place.sample, token } : { token }));
    },
  };
}

/** The place in the read-out, if it is in one of these samples. */
export function usePlace(
  reading: Reading,
  tokens: (sample: number) => readonly string[] | undefined,
): Place | null {
  const place = useStore(reading.active) ?? reading.pinned;
  return place && place.token < (tokens(place.sample)?.length ?? 0) ? place : null;
}
