// The export buttons: Python code, a table, all numbers.
import { saveCsv } from "../../lib/clipboard";
import { Tools } from "../../lib/head";
import { useRising, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { numberCell, toCsv, toTsv } from "../../lib/table";
import { usePalette } from "../../lib/theme";
import { circuitOf, type Graph, nodesOf } from "./graph";
import { edgesOf } from "./paths";
import { saveCircuitPicture } from "./picture_file";
import type { CircuitState } from "./state";

type ToolsProps = PanelProps<CircuitState> & { graph: Graph; tab: string; title: string; subtitle: string };

export function CircuitTools({ model, state, graph, tab, title, subtitle }: ToolsProps) {
  const palette = usePalette();
  const rising = useRising(model);
  const edges = useTrait<number>(model, "edges");
  const save = () => {
    const drawn = tab === "paths" ? edgesOf(state.paths.get(), graph.json) : circuitOf(graph, edges);
    saveCircuitPicture({
      name: tab === "paths" ? "paths" : "circuit",
      title,
      subtitle,
      graph,
      nodes: nodesOf(graph, drawn),
      edges: drawn,
      rising,
      palette,
    });
  };
  const rowsOf = {
    paths: () => pathRows(state),
    faithfulness: () => runRows(state),
    scrubbing: () => scrubRows(state),
  };
  const rows = rowsOf[tab as keyof typeof rowsOf] ?? (() => edgeRows(graph, edges));
  const runs = (state.curves.get().value ?? state.robustness.get().value)?.json;
  // A step of a path is here without what only Python reads of it.
  const held = { paths: null, faithfulness: runs, scrubbing: state.scrub.result.get().value?.json };
  return (
    <Tools
      code={useTrait<string | null | undefined>(model, "code")}
      table={() => toTsv(rows())}
      csv={() => saveCsv(toCsv(rows()), tab === "edges" ? "circuit" : tab)}
      held={tab in held ? held[tab as keyof typeof held] : graph.json}
      kernel={{ model, state }}
      picture={tab === "faithfulness" || tab === "scrubbing" ? undefined : save}
    />
  );
}

export function edgeRows(graph: Graph, most: number): string[][] {
  const lines = circuitOf(graph, most).map(({ from, receiver, score, share }) => [
    from,
    receiver,
    numberCell(score),
    numberCell(share),
  ]);
  return [["sender", "receiver", graph.json.metric_label, "part of the gap"], ...lines];
}

/** The curves if they were run, else the table of ablations. */
export function runRows(state: CircuitState): string[][] {
  const { value: curves } = state.curves.get();
  if (curves) {
    const { sizes } = curves.json;
    const lines = sizes.map((size, i) => [
      String(size),
      ...curves.curves.map(({ values }) => numberCell(values[i])),
    ]);
    return [["size", ...curves.curves.map(({ name }) => name)], ...lines];
  }
  const { value: robustness } = state.robustness.get();
  const { ablations = [], levels = [], positions = [] } = robustness?.json ?? {};
  const lines = ablations.flatMap((ablation) =>
    levels.flatMap((level) =>
      positions.map((at) => {
        const faith = robustness?.of({ ablation, level, positions: at });
        const numbers = [faith?.f, faith?.low, faith?.high, faith?.rest];
        return [ablation, level, at, ...numbers.map((number) => numberCell(number))];
      }),
    ),
  );
  return [["ablation", "level", "positions", "circuit", "low", "high", "complement"], ...lines];
}

export function pathRows(state: CircuitState): string[][] {
  const lines = state.paths
    .get()
    .flatMap((path, step) =>
      (path?.senders ?? []).map(({ name, carried }) => [
        String(step),
        path?.receivers.join(" ") ?? "",
        name,
        numberCell(carried),
      ]),
    );
  return [["step", "receivers", "sender", "part of the gap"], ...lines];
}

/** The table that `Scrubbing.to_dataframe` has, in per cent. */
export function scrubRows(state: CircuitState): string[][] {
  const { value: found } = state.scrub.result.get();
  if (!found) return [["run", "recovered", "low", "high"]];
  const { recovered, low, high, constant } = found.json;
  const lines: [string, number | null, number | null, number | null][] = [
    ["model", 100, null, null],
    ["scrubbed", recovered, low, high],
    ["best constant output", constant, null, null],
    ["shuffled", 0, null, null],
    ...[...found.shares].map(([name, one]): [string, number, number, number] => [
      `share of ${name}`,
      one.share,
      one.low,
      one.high,
    ]),
  ];
  return [
    ["run", "recovered", "low", "high"],
    ...lines.map(([name, ...numbers]) => [name, ...numbers.map((one) => numberCell(one ?? undefined))]),
  ];
}
