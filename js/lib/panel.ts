// A panel shows one kind of result from any model that has its traits: a notebook's model or one in memory.
import type { ComponentType } from "preact";
import type { ViewModel } from "./model";
import type { Place } from "./place";

export interface PanelProps<State> {
  model: ViewModel;
  state: State;
}

export interface Panel<State, Cell> {
  name: string;
  css: string;
  /** Traits without which the view can't be drawn. */
  needs: readonly string[];
  /** The state that all views of one model share. */
  state(model: ViewModel): State;
  View: ComponentType<PanelProps<State>>;
  /** The cell that shows a place, whatever other parts the place has; null if the result has no such cell. */
  cellOf(state: State, place: Place | null): Cell | null;
  /** The inverse of cellOf. */
  placeOf(state: State, cell: Cell): Place | null;
}
