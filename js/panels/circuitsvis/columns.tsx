// Tokens with several values each, coloured by one of them: colored_tokens_multi, visualize_model_performance.
import { useMemo, useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { SmallField, takeNumber } from "../../lib/fields";
import { count, withMinus } from "../../lib/format";
import { keysAmong } from "../../lib/keys";
import { range } from "../../lib/range";
import { Absent } from "../../lib/status";
import { plainCell } from "../../lib/table";
import { type ColumnsFigure, decodeNumbers, exact, extremesOf, type Numbers, plainNumber } from "./figure";
import { within } from "./pages";
import { FigureHead, ReadOut } from "./parts";
import { useShade } from "./shade";
import type { FigureState } from "./state";
import { TokenText, usePlace, useReading } from "./token_text";
import type { FigureProps } from "./view";

/** Neither end of the scale is zero, as in CircuitsVis. */
const LEAST_BOUND = 1e-7;

export function ColumnsView({ model, state, figure }: FigureProps<ColumnsFigure>) {
  const { tokens, labels } = figure;
  const values = useMemo(() => decodeNumbers(figure.values), [figure]);
  const [column, choosing] = useColumn(state, labels.length);
  const bounds = useBounds(state, values, column, labels.length);
  const shade = useShade(bounds.low, bounds.high);
  const reading = useReading(model);
  const place = usePlace(reading, () => tokens);
  const numberOf = (token: number, of: number) => plainNumber(values, token * labels.length + of);
  const rows = () => [
    ["position", "token", ...labels.map(plainCell)],
    ...tokens.map((token, i) => [String(i), plainCell(token), ...labels.map((_, of) => numberOf(i, of))]),
  ];
  const empty = tokens.length === 0 || labels.length === 0;
  const words = `${count(tokens.length, "token")} \u00b7 coloured by ${labels[column] ?? "nothing"}`;
  return (
    <>
      <FigureHead title={figure.title} words={words} rows={rows} />
      {empty ? (
        <Absent>There are no {tokens.length === 0 ? "tokens" : "values"} to show: give at least one.</Absent>
      ) : (
        <>
          <div class="hs-controls" data-hs="controls">
            <Choices labels={labels} shown={column} {...choosing} />
            <Bounds state={state} column={column} bounds={bounds} />
          </div>
          <ReadOut shade={shade} text={place && tokens[place.token]} hint="its values">
            <span class="hs-muted">token {place?.token}</span>
          </ReadOut>
          <AllValues {...{ labels, values, column }} token={place?.token ?? null} />
          <TokenText
            label={`Tokens, coloured by ${labels[column]}`}
            {...{ tokens, values, shade, reading }}
            from={column}
            stride={labels.length}
          />
        </>
      )}
    </>
  );
}

/** Chooses the column that colours the tokens. Hovering over a name chooses it; once a name has been clicked, hovering
 *  over another only previews it. */
function useColumn(state: FigureState, n: number) {
  const [hovered, setHovered] = useState<number | null>(null);
  const [last, setLast] = useState(0);
  const locked = state.chosen().column;
  const shown = within(hovered ?? locked ?? last, n);
  const choose = (column: number) => {
    if (column !== locked) state.choose({ column, low: undefined, high: undefined });
  };
  const hover = (column: number | null) => {
    setHovered(column);
    if (column !== null) setLast(column);
  };
  return [shown, { choose, hover }] as const;
}

interface ChoicesProps {
  labels: string[];
  shown: number;
  choose(column: number): void;
  hover(column: number | null): void;
}

function Choices({ labels, shown, choose, hover }: ChoicesProps) {
  const onKeyDown = keysAmong("radio", shown, labels.length, (next) => {
    choose(next);
    hover(null);
  });
  return (
    <div
      class="hs-cv-choices"
      role="radiogroup"
      tabIndex={-1}
      aria-label="Value that colours the tokens"
      data-hs="columns"
      onKeyDown={onKeyDown}
      onPointerLeave={() => hover(null)}
    >
      {labels.map((label, i) => (
        <button
          key={i}
          type="button"
          role="radio"
          class="hs-plain hs-focusable"
          title="Colour by this"
          aria-checked={i === shown}
          tabIndex={i === shown ? 0 : -1}
          onPointerEnter={() => hover(i)}
          onClick={() => choose(i)}
        >
          {label}
        </button>
      ))}
    </div>
  );
}

interface ColumnBounds {
  low: number;
  high: number;
  own: boolean;
}

/** The bounds of the displayed column: its extremes, or the bounds that were typed. */
function useBounds(state: FigureState, values: Numbers, column: number, n: number): ColumnBounds {
  const found = useMemo(() => {
    const { low, high } = extremesOf(range(values.length / n || 0).map((i) => values[i * n + column] ?? 0));
    return { low: Math.min(low, -LEAST_BOUND), high: Math.max(high, LEAST_BOUND) };
  }, [values, column, n]);
  const chosen = state.chosen();
  const typed = chosen.column === column ? chosen : {};
  const own = typed.low !== undefined || typed.high !== undefined;
  return { low: typed.low ?? found.low, high: typed.high ?? found.high, own };
}

const ENDS = [
  { end: "low", word: "negative", away: "down", side: "below", sign: -1 },
  { end: "high", word: "positive", away: "up", side: "above", sign: 1 },
] as const;

function Bounds({ state, column, bounds }: { state: FigureState; column: number; bounds: ColumnBounds }) {
  const typed = { ...(bounds.own && { low: bounds.low, high: bounds.high }) };
  return (
    <>
      {ENDS.map(({ end, word, away, side, sign }) => (
        <SmallField
          key={end}
          name={end}
          label={`${word} bound`}
          help={`Values from here ${away} have the full colour`}
          size={8}
          value={withMinus(String(Number(bounds[end].toPrecision(6))))}
          take={takeNumber(
            (number) => Number.isFinite(number) && sign * number > 0,
            `The ${word} bound is a number ${side} 0.`,
            (number) => state.choose({ ...typed, column, [end]: number }),
          )}
        />
      ))}
      {bounds.own && (
        <Button
          name="reset"
          title="Follow the values"
          onClick={() => state.choose({ low: undefined, high: undefined })}
        >
          Reset
        </Button>
      )}
    </>
  );
}

interface AllValuesProps {
  labels: string[];
  values: Numbers;
  column: number;
  token: number | null;
}

/** All values of one token; dashes keep the place. */
function AllValues({ labels, values, column, token }: AllValuesProps) {
  return (
    <dl class="hs-cv-values" data-hs="values">
      {labels.map((label, i) => (
        <div key={i} data-shown={i === column}>
          <dt class="hs-cut" title={label}>
            {label}
          </dt>
          <dd data-hs="value">{token === null ? "\u2013" : exact(values, token * labels.length + i)}</dd>
        </div>
      ))}
    </dl>
  );
}
