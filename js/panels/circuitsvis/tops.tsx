// The tokens at which neurons are most and least active, a column a neuron: topk_tokens.
import { useEffect, useMemo, useState } from "preact/hooks";
import { Menu } from "../../lib/controls";
import { count } from "../../lib/format";
import { range } from "../../lib/range";
import { useStore } from "../../lib/store";
import type { TopsFigure, TopsPart } from "./figure";
import { FigureHead, HowMany, Pages, Pick, ReadOut, within } from "./parts";
import { TokenWords } from "./reading";
import { useShade } from "./shade";
import type { FigureState } from "./state";
import { decodeTops, entryOf, linesOf, rankWords, rowsOf, type Shown, type Tops } from "./tops_data";
import { type Cell, Table, usePinned } from "./tops_table";
import type { FigureProps } from "./view";

const A_PAGE = 5;
const FILTERS = [
  { name: "both", label: "top and bottom" },
  { name: "top", label: "top" },
  { name: "bottom", label: "bottom" },
];

export function TopsView({ model, state, figure }: FigureProps<TopsFigure>) {
  const { tops, shown } = useTops(state, figure);
  const shade = useShade(tops?.low ?? 0, tops?.high ?? 0);
  const [active, setActive] = useState<Cell | null>(null);
  const pinned = usePinned(model, shown);
  const cell = active ?? pinned;
  const words = `${figure.names[0]} ${figure.labels[1]?.[shown.layer] ?? shown.layer} \u00b7 ${count(figure.columns[shown.sample] ?? 0, figure.names[1].toLowerCase())}`;
  return (
    <>
      <FigureHead title={figure.title} words={words} rows={() => rowsOf(figure, shown)} />
      <Controls {...{ state, figure, shown }} />
      {tops ? (
        <>
          <ReadOut shade={shade}>
            <CellWords {...{ figure, shown, cell }} />
          </ReadOut>
          <Table {...{ model, figure, shown, shade, pinned, active, setActive }} />
        </>
      ) : (
        <p class="hs-nothing" data-hs="loading">
          {model.readonly ? "This part was not saved." : "Fetching the activations\u2026"}
        </p>
      )}
    </>
  );
}

function useTops(state: FigureState, figure: TopsFigure): { tops: Tops | null; shown: Shown } {
  const chosen = state.chosen();
  useStore(state.parts);
  const [sample, layer] = [within(chosen.first, figure.sizes[0]), within(chosen.second, figure.sizes[1])];
  const part = state.part<TopsPart>(figure, sample, layer);
  useEffect(() => {
    if (!part) state.ask(sample, layer);
  }, [part, sample, layer]);
  const tops = useMemo(() => part && decodeTops(part), [part]);
  const n = figure.columns[sample] ?? 1;
  const size = Math.max(1, Math.min(chosen.count ?? A_PAGE, n));
  const start = Math.floor(within(chosen.start, n) / size) * size;
  const k = within((chosen.k ?? figure.k) - 1, figure.k, figure.k - 1) + 1;
  const filter = FILTERS.some(({ name }) => name === chosen.filter) ? String(chosen.filter) : "both";
  const columns = range(Math.min(size, n - start)).map((i) => start + i);
  const ends = tops ? [tops.top, tops.bottom].filter(({ name }) => filter === "both" || filter === name) : [];
  const lines = ends.flatMap((end) => linesOf(end, k));
  return { tops, shown: { sample, layer, start, size, k, filter, columns, lines } };
}

function Controls({ state, figure, shown }: { state: FigureState; figure: TopsFigure; shown: Shown }) {
  const [layer, neuron] = figure.names;
  const n = figure.columns[shown.sample] ?? 1;
  const filter = FILTERS.findIndex(({ name }) => name === shown.filter);
  return (
    <div class="hs-controls" data-hs="controls">
      <Pick
        name="first"
        label="Sample"
        count={figure.sizes[0]}
        labels={figure.labels[0]}
        chosen={shown.sample}
        onChoose={(first) => state.choose({ first })}
      />
      <Pick
        name="second"
        label={layer}
        count={figure.sizes[1]}
        labels={figure.labels[1]}
        chosen={shown.layer}
        onChoose={(second) => state.choose({ second })}
      />
      <Pages
        label={neuron}
        count={n}
        start={shown.start}
        size={shown.size}
        onChoose={(start) => state.choose({ start })}
      />
      <HowMany
        name="count"
        label={`${neuron}s to show:`}
        most={n}
        chosen={shown.size}
        onChoose={(size) => state.choose({ count: size, start: 0 })}
      />
      <HowMany name="k" label="k:" most={figure.k} chosen={shown.k} onChoose={(k) => state.choose({ k })} />
      <Menu
        name="filter"
        label="Filter"
        choices={FILTERS}
        chosen={filter}
        shown=""
        onChoose={(index) => state.choose({ filter: FILTERS[index]?.name })}
      />
    </div>
  );
}

function CellWords({ figure, shown, cell }: { figure: TopsFigure; shown: Shown; cell: Cell | null }) {
  const line = cell && shown.lines[cell.row];
  if (!cell || !line) {
    return <span class="hs-muted">Hover over a token to read its activation; click to keep it.</span>;
  }
  const { token, position, text } = entryOf(figure, shown, line, cell.column);
  return (
    <TokenWords text={token}>
      <span class="hs-muted">
        token {position} · {figure.names[1]} {cell.column}, {rankWords(line)}
      </span>{" "}
      <b data-hs="value">{text}</b>
    </TokenWords>
  );
}
