// How the edges are shown: the arrangement of the picture, and whether there is a table of them.
import { useMemo, useState } from "preact/hooks";
import { Button, NameMenu } from "../../lib/controls";
import { useTrait, type ViewModel, write } from "../../lib/model";
import { type Arrange, type Drawn, fitsFlow } from "./arrangement";

interface Chosen {
  arrange: Arrange;
  table: boolean;
  setTable(table: boolean): void;
}

/** Notebooks that were saved before there was a choice have no arrangement. */
export const useArrange = (model: ViewModel): Arrange =>
  useTrait<Arrange | undefined>(model, "arrange") ?? "head";

export function useWays(model: ViewModel): Chosen {
  const [table, setTable] = useState(false);
  return { arrange: useArrange(model), table, setTable };
}

const BY_HEAD = {
  name: "head",
  label: "by head",
  help: "a head keeps its column, in every circuit",
} as const;
const BY_FLOW = {
  name: "flow",
  label: "by flow",
  help: "few edges cross; layers stay in their order",
} as const;
const TOO_LARGE = "for circuits with fewer edges: move the slider to the left";

interface WaysProps extends Pick<Drawn, "nodes" | "edges"> {
  model: ViewModel;
  ways: Chosen;
}

export function Ways({ model, ways, nodes, edges }: WaysProps) {
  const fits = useMemo(() => fitsFlow({ nodes, edges }), [nodes, edges]);
  return (
    <span class="hs-ways-end">
      <span class="hs-small" aria-hidden="true">
        Arrange
      </span>
      <NameMenu
        name="arrange"
        label="Arrange"
        choices={[BY_HEAD, { ...BY_FLOW, reason: fits ? null : TOO_LARGE }]}
        value={fits ? ways.arrange : "head"}
        onChoose={(arrange) => write(model, "arrange", arrange)}
      />
      <Button
        name="table"
        title={
          ways.table ? "Hide the table of the edges" : "List all edges of the picture in a table below it"
        }
        quiet
        expanded={ways.table}
        onClick={() => ways.setTable(!ways.table)}
      >
        Table
      </Button>
    </span>
  );
}
