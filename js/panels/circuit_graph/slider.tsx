// How many of the largest edges are in the circuit, on a logarithmic scale.
import { useEffect, useMemo, useState } from "preact/hooks";
import { count } from "../../lib/format";
import { useTrait, type ViewModel, write } from "../../lib/model";
import { circuitOf, type Edit, type Graph, nodesOf } from "./graph";

const STEPS = 200;

/** The sizes that the slider offers, each once: where a logarithmic scale gives the same size twice, an arrow key would
 *  lead nowhere. */
export function sizesTo(most: number): number[] {
  const scale = Array.from({ length: STEPS + 1 }, (_, i) => Math.round(most ** (i / STEPS)));
  return [...new Set(scale)];
}

/** Of the sizes, the one that is nearest. */
export const nearestSize = (sizes: readonly number[], size: number): number =>
  sizes.reduce((best, one, i) => (Math.abs(one - size) < Math.abs((sizes[best] ?? 0) - size) ? i : best), 0);

/** The circuit on the screen. While the slider is dragged, it is the one under the thumb. */
export function useCircuit(model: ViewModel, graph: Graph) {
  const chosen = useTrait<number>(model, "edges");
  const [dragged, setDragged] = useState<number | null>(null);
  useEffect(() => setDragged(null), [chosen, graph]);
  const most = dragged ?? chosen;
  const edits = useTrait<Edit[]>(model, "edits");
  const edges = useMemo(() => circuitOf(graph, most, edits), [graph, most, edits]);
  const nodes = useMemo(() => nodesOf(graph, edges), [graph, edges]);
  return { most, edges, nodes, setDragged };
}

/** The slider alone, where the circuit is not drawn. */
export function CircuitSlider({ model, graph }: { model: ViewModel; graph: Graph }) {
  return <Slider model={model} graph={graph} circuit={useCircuit(model, graph)} />;
}

interface SliderProps {
  model: ViewModel;
  graph: Graph;
  circuit: ReturnType<typeof useCircuit>;
}

export function Slider({ model, graph, circuit }: SliderProps) {
  const { most, edges, nodes, setDragged } = circuit;
  const sizes = useMemo(() => sizesTo(Math.max(1, graph.edges.length)), [graph]);
  const sizeOf = (input: HTMLInputElement) => sizes[Number(input.value)] ?? 1;
  const led = useMemo(() => ledNowhere(graph, most), [graph, most]);
  return (
    <label class="hs-slider hs-small" title="How many of the largest edges are in the circuit">
      <span>Edges</span>
      <input
        type="range"
        data-hs="edges"
        min={0}
        max={sizes.length - 1}
        value={nearestSize(sizes, most)}
        aria-valuetext={count(edges.length, "edge")}
        onInput={({ currentTarget }) => setDragged(sizeOf(currentTarget))}
        onChange={({ currentTarget }) => write(model, "edges", sizeOf(currentTarget))}
      />
      <span data-hs="circuit-size">
        {`${count(edges.length, "edge")} of ${graph.json.edges.toLocaleString("en")}, ${count(nodes.length, "node")}`}
        {led > 0 && `; ${led} more led nowhere`}
      </span>
    </label>
  );
}

/** How many of the largest edges are left out of the circuit, since nothing leads into them or out of them. */
const ledNowhere = (graph: Graph, most: number): number =>
  Math.max(0, Math.min(most, graph.edges.length) - circuitOf(graph, most, []).length);
