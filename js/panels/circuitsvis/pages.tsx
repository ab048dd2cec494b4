// Menus for figures that are too large to be sent or shown at once: they choose the part, and the page of the part.
import { useEffect, useMemo } from "preact/hooks";
import { Button, Menu } from "../../lib/controls";
import { isWhole, SmallField, takeNumber } from "../../lib/fields";
import type { ViewModel } from "../../lib/model";
import { range } from "../../lib/range";
import { Absent } from "../../lib/status";
import { useStore } from "../../lib/store";
import type { SamplesFigure, TopsFigure } from "./figure";
import type { Chosen, FigureState } from "./state";

type InParts = SamplesFigure | TopsFigure;

/** How many samples or columns are shown at once, as in CircuitsVis. */
export const A_PAGE = 5;

/** The chosen part, which is requested if it has not arrived. */
export function usePart<Part>(state: FigureState, figure: InParts) {
  const chosen = state.chosen();
  useStore(state.parts);
  const [first, second] = [within(chosen.first, figure.sizes[0]), within(chosen.second, figure.sizes[1])];
  const part = state.part<Part>(figure, first, second);
  useEffect(() => {
    if (!part) state.ask(first, second);
  }, [part, first, second]);
  return { first, second, part };
}

export function pageOf(chosen: Chosen, count: number): { size: number; start: number } {
  const size = Math.max(1, Math.min(chosen.count ?? A_PAGE, count));
  return { size, start: Math.floor(within(chosen.start, count) / size) * size };
}

export function Loading({ model }: { model: ViewModel }) {
  const words = model.readonly ? "This part was not saved." : "Fetching the activations\u2026";
  return <Absent name="loading">{words}</Absent>;
}

interface PartMenusProps {
  state: FigureState;
  figure: InParts;
  page: { first: number; second: number };
  names: readonly [string, string];
}

export function PartMenus({ state, figure, page, names }: PartMenusProps) {
  return (
    <>
      {(["first", "second"] as const).map((name, i) => (
        <Pick
          key={name}
          name={name}
          label={names[i] ?? ""}
          count={figure.sizes[i] ?? 0}
          labels={figure.labels[i] ?? null}
          chosen={page[name]}
          onChoose={(index) => state.choose({ [name]: index })}
        />
      ))}
    </>
  );
}

interface PageMenusProps {
  state: FigureState;
  page: { start: number; size: number };
  count: number;
  label: string;
  sizeLabel: string;
}

export function PageMenus({ state, page, count, label, sizeLabel }: PageMenusProps) {
  return (
    <>
      <Pages {...{ label, count, ...page }} onChoose={(start) => state.choose({ start })} />
      <HowMany
        name="count"
        label={sizeLabel}
        most={count}
        chosen={page.size}
        onChoose={(size) => state.choose({ count: size, start: 0 })}
      />
    </>
  );
}

/** If there are more choices than this, the user types an index in place of choosing from a menu. */
const MOST_ENTRIES = 400;

interface PickProps {
  name: string;
  /** The label of the choice. */
  label: string;
  count: number;
  labels?: string[] | null;
  chosen: number;
  onChoose(index: number): void;
}

function Pick({ name, label, count, labels = null, chosen, onChoose }: PickProps) {
  const choices = useMemo(
    () => range(count > MOST_ENTRIES ? 0 : count).map((i) => ({ label: `${label} ${labels?.[i] ?? i}` })),
    [label, labels, count],
  );
  if (count <= MOST_ENTRIES) return <Menu {...{ name, label, choices, chosen, onChoose }} shown="" />;
  const called = labels?.[chosen];
  return (
    <>
      <IndexField {...{ name, label, count, chosen, onChoose }} noun={label} />
      {called !== undefined && <span class="hs-muted">{called}</span>}
    </>
  );
}

/** A field for an index, used if a menu would have too many entries. */
function IndexField({ name, label, noun, count, chosen, onChoose }: PickProps & { noun: string }) {
  const wrong = `${noun} is a whole number from 0 to ${count - 1}.`;
  const take = takeNumber((number) => isWhole(number, 0, count - 1), wrong, onChoose);
  return <SmallField {...{ name, label, take }} help={wrong} size={6} value={String(chosen)} />;
}

interface PagesProps {
  /** The name of the items on a page: "Samples", "Neuron". */
  label: string;
  count: number;
  start: number;
  size: number;
  onChoose(start: number): void;
}

/** A menu of pages with buttons that turn them. */
function Pages({ label, count, start, size, onChoose }: PagesProps) {
  const pages = Math.ceil(count / size);
  const page = Math.floor(start / size);
  const choices = useMemo(
    () =>
      range(pages > MOST_ENTRIES ? 0 : pages).map((i) => ({
        label: `${label} ${pageWords(i, size, count)}`,
      })),
    [label, pages, size, count],
  );
  const shown = `${label} ${pageWords(page, size, count)}`;
  const turn = (by: number) => onChoose((page + by) * size);
  return (
    <span class="hs-cv-pages">
      {pages > MOST_ENTRIES ? (
        <IndexField
          {...{ name: "pages", label: `${label} from`, noun: label, count, onChoose }}
          chosen={start}
        />
      ) : (
        <Menu
          name="pages"
          label={label}
          choices={choices}
          chosen={page}
          shown={shown}
          onChoose={(i) => onChoose(i * size)}
        />
      )}
      {pages > 1 && (
        <>
          <Button name="previous" label="Previous page" disabled={page === 0} onClick={() => turn(-1)}>
            ‹
          </Button>
          <Button name="next" label="Next page" disabled={page >= pages - 1} onClick={() => turn(1)}>
            ›
          </Button>
        </>
      )}
    </span>
  );
}

function pageWords(page: number, size: number, count: number): string {
  const [first, last] = [page * size, Math.min(count, (page + 1) * size) - 1];
  return first === last ? String(first) : `${first}\u2013${last}`;
}

/** A menu for how many items are shown at once, up to `most`; if `most` is large, it offers only a few numbers. */
export function HowMany({
  name,
  label,
  most,
  chosen,
  onChoose,
}: Omit<PickProps, "count"> & { most: number }) {
  const numbers = most <= 50 ? range(most).map((i) => i + 1) : [1, 2, 3, 5, 8, 10, 15, 20, 30, 50];
  if (!numbers.includes(chosen)) numbers.push(chosen);
  const choices = numbers.map((number) => ({ label: `${label} ${number}` }));
  return (
    <Menu
      {...{ name, label, choices }}
      chosen={numbers.indexOf(chosen)}
      shown=""
      onChoose={(i) => onChoose(numbers[i] ?? chosen)}
    />
  );
}

/** The value as an index below `count`, or `otherwise` if it is not a whole number. */
export function within(value: number | undefined, count: number, otherwise = 0): number {
  return Number.isInteger(value) ? Math.min(count - 1, Math.max(0, value as number)) : otherwise;
}
