// The circuit that is kept, or was read from a file, and what is shown: the circuit, the kept one, or what differs.
import { useMemo } from "preact/hooks";
import { Button, NameMenu } from "../../lib/controls";
import { FileButton } from "../../lib/file_button";
import { count, fixed } from "../../lib/format";
import { canAsk, useTrait, type ViewModel, write } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { type Edge, type Graph, inputOf } from "./graph";
import { sizeOf } from "./lines";
import type { CircuitState } from "./state";

export type Shows = "circuit" | "kept" | "difference";

/** As in widgets/hookscope/kept_circuit.py. */
const LARGEST_FILE = 20_000_000;

export interface Compared {
  shows: Shows;
  /** What the picture shows. */
  edges: readonly Edge[];
  both: number;
  /** Edges of the circuit alone, and of the kept one alone. */
  here: readonly Edge[];
  there: readonly Edge[];
  /** Jaccard indices. */
  ofEdges: number;
  ofNodes: number;
}

const nameOf = ({ from, receiver }: Edge): string => `${from}->${receiver}`;

/** Edges by name, with the scores of the graph on the screen; what the view was not sent has none. */
export function edgesNamed(graph: Graph, names: readonly string[]): Edge[] {
  const known = new Map(graph.edges.map((edge) => [nameOf(edge), edge]));
  const unknown = (name: string): Edge => {
    const [from = "", receiver = ""] = name.split("->");
    return { ...inputOf(graph.json, receiver), from, score: Number.NaN, share: Number.NaN };
  };
  return names.map((name) => known.get(name) ?? unknown(name)).sort((a, b) => sizeOf(b) - sizeOf(a));
}

export function compared(circuit: readonly Edge[], kept: readonly Edge[], shows: Shows): Compared {
  const [mine, theirs] = [new Set(circuit.map(nameOf)), new Set(kept.map(nameOf))];
  const here = circuit.filter((edge) => !theirs.has(nameOf(edge)));
  const there = kept.filter((edge) => !mine.has(nameOf(edge))).map((edge) => ({ ...edge, kept: true }));
  const both = circuit.length - here.length;
  const senders = [circuit, kept].map((edges) => new Set(edges.map(({ from }) => from)));
  const shown = {
    circuit,
    kept,
    difference: [...here, ...there].sort((a, b) => sizeOf(b) - sizeOf(a)),
  };
  return {
    shows,
    edges: shown[shows],
    both,
    here,
    there,
    ofEdges: jaccard(both, here.length + there.length + both),
    ofNodes: jaccardOf(senders[0] as Set<string>, senders[1] as Set<string>),
  };
}

const jaccard = (both: number, either: number): number => (either === 0 ? 1 : both / either);

function jaccardOf(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const both = [...a].filter((one) => b.has(one)).length;
  return jaccard(both, a.size + b.size - both);
}

/** The circuit beside the kept one; null if none is kept. */
export function useCompared(model: ViewModel, graph: Graph, circuit: readonly Edge[]): Compared | null {
  const names = useTrait<string[] | null>(model, "kept");
  const shows = useTrait<Shows>(model, "shows");
  const kept = useMemo(() => names && edgesNamed(graph, names), [graph, names]);
  return useMemo(() => kept && compared(circuit, kept, shows), [circuit, kept, shows]);
}

/** The buttons that keep the circuit on the screen, or one from a file. */
export function KeepCircuit({ model, state }: PanelProps<CircuitState>) {
  if (!canAsk(model)) return null;
  return (
    <>
      <Button
        name="keep"
        title="Keep this circuit, to compare others with it"
        quiet
        onClick={() => state.rpc.request("keep_circuit", {})}
      >
        Keep
      </Button>
      <FileButton
        name="circuit-file"
        title="Compare with the circuit in a file: a graph as JSON, EAP-IG's or MIB's too, or a list of edges such as auto-circuit's"
        accept=".json,.txt,application/json,text/plain"
        longest={LARGEST_FILE}
        quiet
        onText={(text, name) => state.rpc.request("read_circuit", { text, name: name.slice(0, 200) })}
      >
        {"Compare with a file\u2026"}
      </FileButton>
    </>
  );
}

/** What is shown, and how alike the two circuits are. */
export function CompareLine({ model, state, found }: PanelProps<CircuitState> & { found: Compared }) {
  const name = useTrait<string>(model, "kept_name");
  const { shows, both, here, there, ofEdges, ofNodes } = found;
  const choices = [
    { name: "circuit", label: "this circuit", help: count(both + here.length, "edge") },
    { name: "kept", label: "kept circuit", help: name },
    {
      name: "difference",
      label: "difference",
      help: `${count(here.length, "edge")} only here, ${there.length} dashed only in the kept one`,
    },
  ] as const;
  return (
    <div class="hs-controls hs-compare" data-hs="compare">
      <NameMenu
        name="shows"
        label="Shown"
        choices={choices}
        value={shows}
        onChoose={(one) => write(model, "shows", one)}
      />
      <span class="hs-small" data-hs="alike">
        {`kept: ${name}; ${both} edges in both, ${here.length} only here, ${there.length} only there`}
      </span>
      <span class="hs-small" title="Jaccard: what is in both, as a part of what is in either">
        {`Jaccard ${fixed(ofEdges)} of edges, ${fixed(ofNodes)} of nodes`}
      </span>
      {canAsk(model) && (
        <Button
          name="drop-kept"
          title="Forget the kept circuit"
          quiet
          onClick={() => state.rpc.request("drop_circuit", {})}
        >
          Drop
        </Button>
      )}
    </div>
  );
}
