// The export buttons: Python code, a table, all numbers.
import { saveCsv } from "../../lib/clipboard";
import { Tools } from "../../lib/head";
import { useRising, useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { useStore } from "../../lib/store";
import { numberCell, toCsv, toTsv } from "../../lib/table";
import { usePalette } from "../../lib/theme";
import { circuitOf, type Edge, type Edit, type Graph, nodesOf } from "./graph";
import { edgesOf } from "./paths";
import { saveCircuitPng, saveCircuitSvg } from "./picture_file";
import { type Search, thresholdAt } from "./search";
import { useGroups } from "./set_bar";
import type { CircuitState } from "./state";
import { useArrange } from "./ways";

type ToolsProps = PanelProps<CircuitState> & { graph: Graph; tab: string; title: string; subtitle: string };

export function CircuitTools({ model, state, graph, tab, title, subtitle }: ToolsProps) {
  const palette = usePalette();
  const rising = useRising(model);
  const edges = useTrait<number>(model, "edges");
  const edits = useTrait<Edit[]>(model, "edits");
  const arrange = useArrange(model);
  const groups = useGroups(model);
  const chosen = useTrait<number | null | undefined>(model, "threshold");
  const { value: search } = useStore(state.search);
  const found = tab === "acdc" && search ? search : null;
  const save = (saveAs: typeof saveCircuitPng) => () => {
    const drawn =
      tab === "paths"
        ? edgesOf(state.paths.get(), graph.json)
        : (found?.circuit(thresholdAt(found, chosen)) ?? circuitOf(graph, edges, edits));
    saveAs({
      name: tab === "edges" ? "circuit" : tab,
      title,
      subtitle,
      graph,
      nodes: nodesOf(graph, drawn),
      edges: drawn,
      rising,
      arrange,
      groups: tab === "edges" ? groups : [],
      palette,
    });
  };
  const rowsOf = {
    acdc: () => (found ? searchRows(found) : []),
    paths: () => pathRows(state),
    faithfulness: () => runRows(state),
    scrubbing: () => scrubRows(state),
  };
  const ofEdges = () => edgeRows(circuitOf(graph, edges, edits), graph.json.metric_label);
  const rows = rowsOf[tab as keyof typeof rowsOf] ?? ofEdges;
  const runs = (state.curves.get().value ?? state.robustness.get().value)?.json;
  const drawn = tab !== "faithfulness" && tab !== "scrubbing";
  // A step of a path is here without what only Python reads of it.
  const held = { paths: null, faithfulness: runs, scrubbing: state.scrub.result.get().value?.json };
  return (
    <Tools
      code={useTrait<string | null | undefined>(model, "code")}
      table={() => toTsv(rows())}
      csv={() => saveCsv(toCsv(rows()), tab === "edges" ? "circuit" : tab)}
      held={tab in held ? held[tab as keyof typeof held] : graph.json}
      kernel={{ model, state }}
      picture={drawn ? save(saveCircuitPng) : undefined}
      vector={drawn ? save(saveCircuitSvg) : undefined}
    />
  );
}

export function edgeRows(edges: readonly Edge[], metric: string): string[][] {
  const lines = edges.map(({ from, receiver, score, share }) => [
    from,
    receiver,
    numberCell(score),
    numberCell(share),
  ]);
  return [["sender", "receiver", metric, "part of the gap"], ...lines];
}

/** The edges of all circuits, and which of these each is in. */
export function searchRows({ json, graph, circuit }: Search): string[][] {
  const circuits = json.thresholds.map((_, at) => new Set(circuit(at)));
  const lines = graph.edges.map((edge) => [
    edge.from,
    edge.receiver,
    numberCell(edge.score),
    ...circuits.map((one) => (one.has(edge) ? "1" : "0")),
  ]);
  return [["sender", "receiver", json.metric_label, ...json.thresholds.map((one) => `at ${one}`)], ...lines];
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
