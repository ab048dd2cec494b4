// What the figures share: their head, the line in which a token is read, the key of the colours, menus.
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { saveCsv } from "../../lib/clipboard";
import { Button, Menu } from "../../lib/controls";
import { isWhole, SmallField, takeNumber } from "../../lib/fields";
import { Head, Tools } from "../../lib/head";
import { range } from "../../lib/range";
import { toCsv, toTsv } from "../../lib/table";
import { rounded } from "./figure";
import type { Shade } from "./shade";

interface HeadProps {
  title: string;
  words: string;
  /** The first row has the names. */
  rows(): string[][];
}

export function FigureHead({ title, words, rows }: HeadProps) {
  const save = () => saveCsv(toCsv(rows()), title.toLowerCase().replaceAll(" ", "-"));
  return (
    <Head title={title} words={words}>
      <Tools table={() => toTsv(rows())} csv={save} />
    </Head>
  );
}

interface ReadOutProps {
  shade: Shade;
  /** What the key's numbers are above those that colour. */
  shift?: number;
  children: ComponentChildren;
}

/** Always there and always as high, so that nothing jumps. */
export function ReadOut({ shade, shift = 0, children }: ReadOutProps) {
  return (
    <div class="hs-cv-line">
      <p class="hs-cv-readout" data-hs="readout">
        {children}
      </p>
      <Key shade={shade} shift={shift} />
    </div>
  );
}

const STEPS = 16;

/** From the least to the largest value; a side that has none is left out. */
function Key({ shade, shift }: { shade: Shade; shift: number }) {
  const [low, high] = [Math.min(0, shade.low), Math.max(0, shade.high)];
  if (low === high) return null;
  const stops = range(STEPS + 1).map((i) => shade.fill(low + ((high - low) * i) / STEPS));
  return (
    <span class="hs-cv-key" data-hs="key">
      <span>{rounded(low + shift)}</span>
      <i style={{ background: `linear-gradient(to right, ${stops.join(",")})` }} />
      <span>{rounded(high + shift)}</span>
    </span>
  );
}

export function UnknownColors({ shade }: { shade: Shade }) {
  if (shade.unknown.length === 0) return null;
  const names = shade.unknown.map((text) => `“${text}”`).join(" and ");
  return (
    <p class="hs-quiet" data-hs="warning">
      {names} {shade.unknown.length > 1 ? "are" : "is"} no CSS colour, so the theme's own is shown.
    </p>
  );
}

/** More than these are typed, not chosen from a menu. */
const MOST_ENTRIES = 400;

interface PickProps {
  name: string;
  /** What is chosen. */
  label: string;
  count: number;
  labels?: string[] | null;
  chosen: number;
  onChoose(index: number): void;
}

export function Pick({ name, label, count, labels = null, chosen, onChoose }: PickProps) {
  const choices = useMemo(
    () => range(count > MOST_ENTRIES ? 0 : count).map((i) => ({ label: `${label} ${labels?.[i] ?? i}` })),
    [label, labels, count],
  );
  if (count <= MOST_ENTRIES) return <Menu {...{ name, label, choices, chosen, onChoose }} shown="" />;
  const wrong = `${label} is a whole number from 0 to ${count - 1}.`;
  const called = labels?.[chosen];
  return (
    <>
      <SmallField
        {...{ name, label }}
        help={wrong}
        size={6}
        value={String(chosen)}
        take={takeNumber((number) => isWhole(number, 0, count - 1), wrong, onChoose)}
      />
      {called !== undefined && <span class="hs-muted">{called}</span>}
    </>
  );
}

interface PagesProps {
  /** What is on a page: "Samples", "Neuron". */
  label: string;
  count: number;
  start: number;
  size: number;
  onChoose(start: number): void;
}

/** Which of many are shown. */
export function Pages({ label, count, start, size, onChoose }: PagesProps) {
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
        <FromField {...{ label, count, start, size, onChoose }} />
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
          <Button name="previous" label="The ones before" disabled={page === 0} onClick={() => turn(-1)}>
            ‹
          </Button>
          <Button name="next" label="The ones after" disabled={page >= pages - 1} onClick={() => turn(1)}>
            ›
          </Button>
        </>
      )}
    </span>
  );
}

function FromField({ label, count, start, onChoose }: PagesProps) {
  const wrong = `${label} is a whole number from 0 to ${count - 1}.`;
  const take = takeNumber((number) => isWhole(number, 0, count - 1), wrong, onChoose);
  return (
    <SmallField
      name="pages"
      label={`${label} from`}
      help={wrong}
      size={6}
      value={String(start)}
      take={take}
    />
  );
}

function pageWords(page: number, size: number, count: number): string {
  const [first, last] = [page * size, Math.min(count, (page + 1) * size) - 1];
  return first === last ? String(first) : `${first}\u2013${last}`;
}

/** How many at once, up to `most`; of very many only some numbers are offered. */
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

/** A whole number within bounds, whatever came. */
export function within(value: number | undefined, count: number, otherwise = 0): number {
  return Number.isInteger(value) ? Math.min(count - 1, Math.max(0, value as number)) : otherwise;
}
