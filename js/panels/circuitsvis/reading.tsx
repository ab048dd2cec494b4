// The token that is read: under the pointer or the keyboard's cursor, else the one that was clicked.
import { useState } from "preact/hooks";
import { useTrait, type ViewModel, write } from "../../lib/model";
import { Store, useStore } from "../../lib/store";
import type { Place, Reading } from "./token_text";

/** `many` where there are several samples. */
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

/** The place that is read, if it is in one of these samples. */
export function usePlace(
  reading: Reading,
  tokens: (sample: number) => readonly string[] | undefined,
): Place | null {
  const place = useStore(reading.active) ?? reading.pinned;
  return place && place.token < (tokens(place.sample)?.length ?? 0) ? place : null;
}
