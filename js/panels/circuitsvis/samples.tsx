// Samples coloured by one neuron's activations: text_neuron_activations, topk_samples.
import { useMemo } from "preact/hooks";
import { Menu } from "../../lib/controls";
import { count } from "../../lib/format";
import { range } from "../../lib/range";
import { Absent } from "../../lib/status";
import { plainCell } from "../../lib/table";
import {
  decodeNumbers,
  type Extremes,
  exact,
  extremesOf,
  type Numbers,
  plainNumber,
  type SamplesFigure,
  type SamplesPart,
} from "./figure";
import { A_PAGE, Loading, PageMenus, PartMenus, pageOf, usePart } from "./pages";
import { FigureHead, ReadOut } from "./parts";
import { type Shade, useShade } from "./shade";
import type { FigureState } from "./state";
import { type Reading, TokenText, usePlace, useReading } from "./token_text";
import type { FigureProps } from "./view";

interface Samples {
  tokens: string[][];
  values: Numbers;
  /** The offset of each sample's values. */
  from: number[];
  extremes: Extremes;
}

/** The samples on the page. */
interface Page {
  first: number;
  second: number;
  start: number;
  size: number;
  samples: Samples | null;
}

export function SamplesView({ model, state, figure }: FigureProps<SamplesFigure>) {
  const page = usePage(state, figure);
  const { samples, start, size } = page;
  const own = ownScale(state, figure);
  const ends = own || figure.low === null ? samples?.extremes : { low: figure.low, high: figure.high ?? 0 };
  const shade = useShade(ends?.low ?? 0, ends?.high ?? 0);
  const reading = useReading(model, true);
  const shown = samples ? range(Math.min(size, samples.tokens.length - start)).map((i) => start + i) : [];
  return (
    <>
      <FigureHead title={figure.title} words={wordsOf(figure, page)} rows={() => rowsOf(samples, shown)} />
      <Controls {...{ state, figure, page, own }} />
      {samples === null && <Loading model={model} />}
      {samples && <Read {...{ samples, shade, reading, shown }} />}
      {samples?.tokens.length === 0 && <Absent>There are no samples: give at least one.</Absent>}
      {samples && shown.map((sample) => <Sample key={sample} {...{ sample, samples, shade, reading }} />)}
    </>
  );
}

function usePage(state: FigureState, figure: SamplesFigure): Page {
  const chosen = state.chosen();
  const { first, second, part } = usePart<SamplesPart>(state, figure);
  const samples = useMemo(() => part && decodeSamples(figure, part), [figure, part]);
  const n = samples?.tokens.length ?? 0;
  const { size, start } = pageOf(chosen, n || A_PAGE);
  return { first, second, start, size, samples };
}

function decodeSamples(figure: SamplesFigure, part: SamplesPart): Samples {
  const tokens = part.tokens ?? figure.tokens ?? [];
  const values = decodeNumbers(part.values);
  let next = 0;
  const from = tokens.map((sample) => {
    const start = next;
    next += sample.length;
    return start;
  });
  return { tokens, values, from, extremes: extremesOf(values) };
}

/** By default, a single sample uses its neuron's own scale, and several samples use one scale for all neurons. */
function ownScale(state: FigureState, figure: SamplesFigure): boolean {
  const { scale } = state.chosen();
  if (scale === "own" || scale === "all") return scale === "own";
  return figure.tokens?.length === 1;
}

interface ControlsProps {
  state: FigureState;
  figure: SamplesFigure;
  page: Page;
  own: boolean;
}

function Controls({ state, figure, page, own }: ControlsProps) {
  const n = page.samples?.tokens.length ?? 0;
  const noun = figure.names[1].toLowerCase();
  return (
    <div class="hs-controls" data-hs="controls">
      {/* The pages of another neuron are unknown until its samples have been counted. */}
      <PartMenus {...{ state, figure, page }} names={figure.names} />
      {n > 1 && (
        <PageMenus
          {...{ state, page }}
          count={n}
          label={figure.ordered ? "Samples (descending)" : "Samples"}
          sizeLabel="Samples per page:"
        />
      )}
      {figure.low !== null && (
        <Menu
          name="scale"
          label="Colour scale"
          choices={[{ label: "scale of all" }, { label: `scale of this ${noun}` }]}
          chosen={own ? 1 : 0}
          shown=""
          onChoose={(index) => state.choose({ scale: index === 1 ? "own" : "all" })}
        />
      )}
    </div>
  );
}

interface ReadProps {
  samples: Samples;
  shade: Shade;
  reading: Reading;
  shown: number[];
}

function Read({ samples, shade, reading, shown }: ReadProps) {
  const place = usePlace(reading, (sample) => (shown.includes(sample) ? samples.tokens[sample] : undefined));
  return (
    <ReadOut shade={shade} text={place && samples.tokens[place.sample]?.[place.token]} hint="its activation">
      {place && (
        <>
          <span class="hs-muted">
            {samples.tokens.length > 1 && `sample ${place.sample}, `}token {place.token}
          </span>{" "}
          <b data-hs="value">{exact(samples.values, (samples.from[place.sample] ?? 0) + place.token)}</b>
        </>
      )}
    </ReadOut>
  );
}

interface SampleProps {
  sample: number;
  samples: Samples;
  shade: Shade;
  reading: Reading;
}

function Sample({ sample, samples, shade, reading }: SampleProps) {
  const tokens = samples.tokens[sample] ?? [];
  const alone = samples.tokens.length === 1;
  return (
    <div class={alone ? undefined : "hs-cv-sample"} data-hs="sample">
      {!alone && (
        <span class="hs-cv-number" aria-hidden="true">
          {sample}
        </span>
      )}
      {tokens.length === 0 ? (
        <p class="hs-nothing">This sample has no tokens.</p>
      ) : (
        <TokenText
          label={alone ? "Tokens" : `Sample ${sample}`}
          {...{ sample, tokens, shade, reading }}
          values={samples.values}
          from={samples.from[sample] ?? 0}
        />
      )}
    </div>
  );
}

function wordsOf(figure: SamplesFigure, { first, second, samples }: Page): string {
  const places = [first, second].map(
    (index, i) => `${figure.names[i]} ${figure.labels[i]?.[index] ?? index}`,
  );
  return [...places, ...(samples ? [count(samples.tokens.length, "sample")] : [])].join(" \u00b7 ");
}

function rowsOf(samples: Samples | null, shown: number[]): string[][] {
  const rows = shown.flatMap((sample) =>
    (samples?.tokens[sample] ?? []).map((token, i) => {
      const value = samples ? plainNumber(samples.values, (samples.from[sample] ?? 0) + i) : "";
      return [String(sample), String(i), plainCell(token), value];
    }),
  );
  return [["sample", "position", "token", "activation"], ...rows];
}
