// Views that share their pinned place. It works between all views of a page, with or without a kernel, whichever bundles
// they come from: what they know of each other is in the page itself.
import { isPinning, listen, select, trait, type ViewModel } from "./model";
import type { Panel } from "./panel";
import { type Place, samePlace } from "./place";

interface Member {
  group: string | null;
  /** Pins a place; a view that has no such place pins none. */
  take(place: Place | null): void;
}

const KEY = Symbol.for("hookscope.linked-views");
type Page = { [KEY]?: Set<Member> };

const membersOf = (page: Page): Set<Member> => {
  page[KEY] ??= new Set();
  return page[KEY];
};

/** Links a view's model with the others of its group, and returns a function that ends this. */
export function joinGroup<State, Cell>(
  panel: Panel<State, Cell>,
  model: ViewModel,
  state: State,
): () => void {
  const members = membersOf(globalThis as Page);
  let taking = false;
  const pinned = () => trait<Place | null | undefined>(model, "selection") ?? null;
  const member: Member = {
    group: null,
    take(place) {
      const shown = place && panel.cellOf(state, place) !== null ? place : null;
      if (samePlace(shown, pinned())) return;
      taking = true; // or this view would hand the place back
      select(model, shown);
      taking = false;
    },
  };
  const regroup = () => {
    member.group = trait<string | null | undefined>(model, "group") ?? null;
  };
  const tell = () => {
    if (taking || member.group === null || !isPinning()) return;
    for (const other of members) if (other !== member && other.group === member.group) other.take(pinned());
  };
  regroup();
  members.add(member);
  const stops = [listen(model, "change:group", regroup), listen(model, "change:selection", tell)];
  return () => {
    members.delete(member);
    for (const stop of stops) stop();
  };
}
