// The nodes that were put into the subgraph: how much they explain, and the supernodes that some of them form.
import { useMemo, useState } from "preact/hooks";
import { Button } from "../../lib/controls";
import { SmallField } from "../../lib/fields";
import { count, fixed } from "../../lib/format";
import { canAsk, useTrait, type ViewModel, write } from "../../lib/model";
import type { Graph, GraphNode } from "./graph";
import { groupKey, type Unit, unitsOf } from "./layout";
import type { Pruned } from "./prune";
import type { FeatureState } from "./state";
import { boxName, type Names, shortName, titleOf } from "./words";

export interface Scores {
  of: string[];
  replacement: number;
  completeness: number;
}

export const scoreWords = (scores: Scores | null | undefined): string =>
  scores ? `replacement ${fixed(scores.replacement)}, completeness ${fixed(scores.completeness)}` : "";

export const scoresHelp = (of: string): string =>
  `${of}: how much of what reaches the logits comes from tokens (replacement), and how much of what enters ` +
  "the nodes is no error (completeness)";

type Groups = Readonly<Record<string, readonly string[]>>;
const AT_ONCE = 10;

/** The features of most influence that are drawn and not in the subgraph yet. */
export function strongestOf({ nodes }: Pruned, subgraph: ReadonlySet<string>, most = AT_ONCE): GraphNode[] {
  return nodes
    .filter(({ id, kind }) => kind === "feature" && !subgraph.has(id))
    .sort((a, b) => b.influence - a.influence)
    .slice(0, most);
}

/** Nodes of the subgraph that are chosen, to be grouped or taken out. */
export function useChosen(subgraph: ReadonlySet<string>) {
  const [ids, setIds] = useState<ReadonlySet<string>>(new Set());
  const chosen = useMemo(() => new Set([...ids].filter((id) => subgraph.has(id))), [ids, subgraph]);
  const toggle = (some: readonly string[]) => {
    const all = some.every((id) => chosen.has(id));
    setIds(new Set(all ? [...chosen].filter((id) => !some.includes(id)) : [...chosen, ...some]));
  };
  return { chosen, toggle, choose: (some: readonly string[]) => setIds(new Set(some)) };
}

interface BarProps {
  model: ViewModel;
  state: FeatureState;
  graph: Graph;
  names: Names;
  shown: Pruned;
  subgraph: ReadonlySet<string>;
  chosen: ReturnType<typeof useChosen>;
  onHover(id: string | null): void;
}

export function SubgraphBar(props: BarProps) {
  const { model, state, graph, subgraph, shown } = props;
  const groups = useTrait<Groups>(model, "supernodes");
  const scores = useTrait<Scores | null | undefined>(model, "scores");
  const alone = useTrait<string>(model, "shows") === "subgraph";
  const asks = canAsk(model);
  const empty = subgraph.size === 0;
  if (empty && !asks) return null;
  const units = unitsOf(
    graph.nodes.filter(({ id }) => subgraph.has(id)),
    groups,
  );
  const strongest = strongestOf(shown, subgraph);
  return (
    <div class="hs-fg-subgraph" data-hs="subgraph" role="group" aria-label="Subgraph">
      <div class="hs-controls">
        <span class="hs-small" data-hs="scores">
          {empty
            ? "Subgraph: click a node with Shift to put it in"
            : `Subgraph: ${count(subgraph.size, "node")}`}
          {scores && (
            <span title={scoresHelp("Of this part alone, all other features being errors")}>
              {`, ${scoreWords(scores)}`}
            </span>
          )}
        </span>
        {!empty && (
          <Button
            name="shows"
            title={alone ? "Show the whole graph" : "Show the subgraph alone, with names"}
            onClick={() => write(model, "shows", alone ? "graph" : "subgraph")}
          >
            {alone ? "Show all" : "Show it alone"}
          </Button>
        )}
        {asks && !(alone && !empty) && strongest.length > 0 && (
          <Button
            name="add-strongest"
            title="Put the features of most influence on the logits into the subgraph"
            quiet
            onClick={() => state.rpc.request("pin_nodes", { nodes: strongest.map(({ id }) => id) })}
          >
            {`Add the strongest ${strongest.length}`}
          </Button>
        )}
        {asks && !empty && (
          <Button
            name="clear-subgraph"
            title="Take all nodes out of the subgraph"
            quiet
            onClick={() => state.rpc.request("unpin_nodes", { nodes: [...subgraph] })}
          >
            Clear
          </Button>
        )}
      </div>
      {!empty && <Members {...props} units={asks ? units : units.filter(({ group }) => group)} asks={asks} />}
      {asks && props.chosen.chosen.size > 0 && <Chosen {...props} units={units} />}
    </div>
  );
}

type MembersProps = BarProps & { units: readonly Unit[]; asks: boolean };

function Members({ graph, names, units, asks, chosen: { chosen, toggle }, onHover }: MembersProps) {
  if (units.length === 0) return null;
  return (
    <ul class="hs-fg-members">
      {units.map((unit) => {
        const ids = unit.nodes.map(({ id }) => id);
        const words =
          unit.group === null ? shortName(graph, names, unit.nodes[0]) : boxName(graph, names, unit);
        const chip = {
          "data-kind": unit.group === null ? "node" : "group",
          title: titleOf(graph, names, unit),
        };
        const hover = {
          onPointerEnter: () => onHover(ids[0] ?? null),
          onPointerLeave: () => onHover(null),
        };
        return (
          <li key={unit.key} {...hover}>
            {asks ? (
              <button
                type="button"
                class="hs-plain hs-focusable hs-fg-member"
                data-hs={unit.group === null ? "member" : "supernode"}
                aria-pressed={ids.every((id) => chosen.has(id))}
                onClick={() => toggle(ids)}
                {...chip}
              >
                {words}
              </button>
            ) : (
              <span class="hs-fg-member" data-hs={unit.group === null ? "member" : "supernode"} {...chip}>
                {words}
              </span>
            )}
          </li>
        );
      })}
    </ul>
  );
}

/** What can be done with the chosen nodes. */
function Chosen({ state, units, chosen }: BarProps & { units: readonly Unit[] }) {
  const nodes = [...chosen.chosen];
  const [only, ...others] = units.filter((unit) => unit.nodes.some(({ id }) => chosen.chosen.has(id)));
  const group = only && others.length === 0 ? only.group : null;
  const request: FeatureState["rpc"]["request"] = (method, params) => {
    chosen.choose([]);
    return state.rpc.request(method, params);
  };
  const whole = group !== null && only ? only.nodes.map(({ id }) => id) : nodes;
  return (
    <div class="hs-controls hs-fg-chosen" data-hs="chosen" role="group" aria-label="The chosen nodes">
      <SmallField
        name="group-name"
        label={group === null ? `${count(nodes.length, "node")}: group as` : "rename"}
        help={
          group === null
            ? "Draw these nodes as one, under this name. Press Enter"
            : `What the supernode ${group} is called. Press Enter`
        }
        value={group ?? ""}
        placeholder="name"
        size={16}
        take={(text) => {
          const name = text.trim();
          if (name === "" || name === group) return null;
          if (units.some(({ key }) => key === groupKey(name)) && group !== null)
            return `There is a supernode ${name} already. Choose another name.`;
          request("group_features", { nodes: whole, name });
          return null;
        }}
      />
      {group !== null && (
        <Button
          name="ungroup"
          title={`Draw the nodes of ${group} one by one again`}
          onClick={() => request("ungroup_features", { name: group })}
        >
          Ungroup
        </Button>
      )}
      <Button
        name="unpin"
        title="Take these nodes out of the subgraph"
        quiet
        onClick={() => request("unpin_nodes", { nodes })}
      >
        Take out
      </Button>
      <Button name="choose-none" title="Choose no nodes" quiet onClick={() => chosen.choose([])}>
        Done
      </Button>
    </div>
  );
}
