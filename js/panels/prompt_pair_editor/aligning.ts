// Manual alignment: how drags, clicks and keys change the links. Each change is one step of the draft.
import { useState } from "preact/hooks";
import { linkBetween, linksOf, sameToken, type TokenAt, withLink, withoutLinksOf } from "./alignment";
import type { Draft } from "./draft";
import type { Column, Link, Run, Tokens } from "./types";

export type Aligning = ReturnType<typeof useAligning>;

interface Subject {
  draft: Draft;
  readonly: boolean;
  /** Whether the tokens belong to the current text of the prompts. */
  current: boolean;
  tokens: Pick<Tokens, Run>;
  columns: Column[];
  /** Whether the links are the user's own. */
  byHand: boolean;
}

export function useAligning({ draft, readonly, current, tokens, columns, byHand }: Subject) {
  const [on, setOn] = useState(false);
  const [start, setStart] = useState<TokenAt | null>(null);
  const chosen = start && start.index < tokens[start.run].ids.length ? start : null;
  const links = linksOf(columns);
  const edit = (alignment: Link[] | null) => {
    setStart(null);
    draft.replace({ ...draft.pair.get(), alignment });
  };
  /** Editing is blocked while tokens are out of date, because their positions would link other tokens. */
  const relink = (next: Link[]) => {
    if (current && JSON.stringify(next) !== JSON.stringify(links)) edit(next);
    else setStart(null);
  };
  const link = (from: TokenAt, to: TokenAt) => {
    const added = linkBetween(from, to);
    if (added) relink(withLink(links, added));
  };
  const unlink = (place: TokenAt) => relink(withoutLinksOf(links, place));
  const turn = (next: boolean) => {
    setStart(null);
    setOn(next);
  };
  /** Chooses a token as the first or the second end of a link. */
  const choose = (place: TokenAt) => {
    if (chosen && chosen.run !== place.run) link(chosen, place);
    else setStart(sameToken(chosen, place) ? null : place);
  };
  const onKey = (place: TokenAt, key: string): boolean => {
    if (key === "Delete" || key === "Backspace") unlink(place);
    else if (key === "Escape" && chosen) setStart(null);
    else if (key === "Escape") setOn(false);
    else return false;
    return true;
  };
  return {
    on: on && !readonly,
    /** Links are shown if positions alone don't determine which tokens correspond. */
    linked: on || byHand || tokens.clean.ids.length !== tokens.corrupt.ids.length,
    editable: !readonly,
    byHand,
    chosen,
    turn,
    link,
    unlink,
    choose,
    onKey,
    automatic: () => edit(null),
  };
}
