// The tokens at which neurons are most and least active, with one column for each neuron: topk_tokens.
import { useMemo, useState } from "preact/hooks";
import { NameMenu } from "../../lib/controls";
import { count } from "../../lib/format";
import { range } from "../../lib/range";
import type { TopsFigure, TopsPart } from "./figure";
import { HowMany, Loading, PageMenus, PartMenus, pageOf, usePart, within } from "./pages";
import { FigureHead, ReadOut } from "./parts";
import { useShade } from "./shade";
import type { FigureState } from "./state";
import { decodeTops, entryOf, linesOf, rankWords, rowsOf, type Shown, type Tops } from "./tops_data";
import { type Cell, Table, usePinned } from "./tops_table";
import type { FigureProps } from "./view";

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
  const line = cell && shown.lines[cell.row];
  const entry = cell && line && entryOf(figure, shown, line, cell.column);
  const words = `${figure.names[0]} ${figure.labels[1]?.[shown.layer] ?? shown.layer} \u00b7 ${count(figure.columns[shown.sample] ?? 0, figure.names[1].toLowerCase())}`;
  return (
    <>
      <FigureHead title={figure.title} words={words} rows={() => rowsOf(figure, shown)} />
      <Controls {...{ state, figure, shown }} />
      {tops ? (
        <>
          <ReadOut shade={shade} text={entry?.token} hint="its activation">
            {entry && (
              <>
                <span class="hs-muted">
                  token {entry.position} · {figure.names[1]} {cell?.column}, {line && rankWords(line)}
                </span>{" "}
                <b data-hs="value">{entry.text}</b>
              </>
            )}
          </ReadOut>
          <Table {...{ model, figure, shown, shade, pinned, active, setActive }} />
        </>
      ) : (
        <Loading model={model} />
      )}
    </>
  );
}

function useTops(state: FigureState, figure: TopsFigure): { tops: Tops | null; shown: Shown } {
  const chosen = state.chosen();
  const { first: sample, second: layer, part } = usePart<TopsPart>(state, figure);
  const tops = useMemo(() => part && decodeTops(part), [part]);
  const n = figure.columns[sample] ?? 1;
  const { size, start } = pageOf(chosen, n);
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
  return (
    <div class="hs-controls" data-hs="controls">
      <PartMenus
        {...{ state, figure, names: ["Sample", layer] }}
        page={{ first: shown.sample, second: shown.layer }}
      />
      <PageMenus {...{ state, page: shown, count: n, label: neuron, sizeLabel: `${neuron}s to show:` }} />
      <HowMany name="k" label="k:" most={figure.k} chosen={shown.k} onChoose={(k) => state.choose({ k })} />
      <NameMenu
        name="filter"
        label="Filter"
        choices={FILTERS}
        value={shown.filter}
        onChoose={(filter) => state.choose({ filter })}
      />
    </div>
  );
}
