// Features that are changed in the model itself: which, by how much, where, and what that does.

import { Argument, type Field } from "../../lib/arguments";
import { Button, type Choice, NameMenu } from "../../lib/controls";
import { SmallField } from "../../lib/fields";
import { canAsk, useTrait, type ViewModel } from "../../lib/model";
import { useStore } from "../../lib/store";
import {
  amountWords,
  type Change,
  positionWords,
  readAmount,
  readPositions,
  withChange,
} from "./change_list";
import { EffectsTable } from "./effects_table";
import { Generated } from "./generated";
import type { Graph, GraphNode } from "./graph";
import type { FeatureState } from "./state";
import { type Names, shortName } from "./words";

interface ChangesProps {
  model: ViewModel;
  state: FeatureState;
  graph: Graph;
  names: Names;
  pinned: GraphNode | null;
}

interface ChangeInfo {
  frozen: (Choice & { name: string })[];
  generate: Field;
  temperature: Field;
}

const OFFERS = [
  { name: "off", label: "Off", change: { scale: 0 }, title: "Switch it off: its activation is set to 0" },
  { name: "double", label: "\u00d72", change: { scale: 2 }, title: "Double its activation" },
  { name: "invert", label: "\u00d7\u22121", change: { scale: -1 }, title: "Let it write the opposite" },
];

export function Changes({ model, state, graph, names, pinned }: ChangesProps) {
  const changes = useTrait<Change[]>(model, "changes");
  const groups = useTrait<Record<string, string[]>>(model, "supernodes");
  const { value: effects, problem } = useStore(state.effects);
  const frozen = useTrait<string>(model, "frozen");
  const ask: Ask = (said) => state.changes.ask(said);
  const asks = canAsk(model);
  const nodes = asks ? changeable(pinned, groups) : [];
  if (nodes.length === 0 && changes.length === 0) return null;
  const label = (node: string) => {
    const known = graph.byId.get(node);
    return node in groups || !known ? node : shortName(graph, names, known);
  };
  return (
    <section class="hs-fg-changes" data-hs="changes" aria-label="Changes in the model">
      <h3 class="hs-title">
        Change it in the model <small>what the next token is then, beside what the graph predicts</small>
      </h3>
      {nodes.map((node) => (
        <div class="hs-controls" key={node}>
          <span class="hs-small hs-token">{label(node)}</span>
          {OFFERS.map(({ name, label, change, title }) => (
            <Button
              key={name}
              name={`change-${name}`}
              title={title}
              onClick={() => ask((now) => ({ changes: withChange(now.changes, { node, ...change }) }))}
            >
              {label}
            </Button>
          ))}
        </div>
      ))}
      {changes.length > 0 && (
        <>
          <ChangeRows graph={graph} changes={changes} label={label} ask={asks ? ask : null} />
          {asks && <How model={model} ask={ask} />}
          {problem && <p class="hs-error">{problem}</p>}
          {effects && <EffectsTable effects={effects} frozen={frozen} />}
          {effects && <Generated effects={effects} />}
        </>
      )}
    </section>
  );
}

/** The pinned feature, and the supernode that it is in. */
function changeable(pinned: GraphNode | null, groups: Record<string, string[]>): string[] {
  if (pinned?.kind !== "feature") return [];
  const around = Object.entries(groups).flatMap(([name, ids]) => (ids.includes(pinned.id) ? [name] : []));
  return [pinned.id, ...around];
}

type Ask = FeatureState["changes"]["ask"];

interface RowsProps {
  graph: Graph;
  changes: readonly Change[];
  label(node: string): string;
  /** Null where nothing can be asked. */
  ask: Ask | null;
}

function ChangeRows({ graph, changes, label, ask }: RowsProps) {
  const tokens = graph.json.prompt.ids.length;
  const put = (change: Change) => ask?.((now) => ({ changes: withChange(now.changes, change) }));
  return (
    <ul class="hs-fg-change-rows" data-hs="change-rows">
      {changes.map((change) => (
        <li key={change.node} class="hs-controls">
          <span class="hs-small hs-token">{label(change.node)}</span>
          {ask ? (
            <>
              <SmallField
                name="amount"
                label=""
                help="×0 switches it off, ×2 doubles it, =3 sets it to 3"
                value={amountWords(change)}
                size={6}
                take={(text) => {
                  const amount = readAmount(text);
                  if (!amount) return "Write a factor, such as ×0 or ×-1.5, or a value, such as =3.";
                  put({ node: change.node, ...amount });
                  return null;
                }}
              />
              <SmallField
                name="positions"
                label="at"
                help="here, where the node is; all, also in tokens that are generated; or positions, such as 0, 2-4"
                value={positionWords(change.positions)}
                size={8}
                take={(text) => {
                  const read = readPositions(text, tokens);
                  if (typeof read === "object" && "wrong" in read) return read.wrong;
                  put({ node: change.node, positions: read });
                  return null;
                }}
              />
              <Button
                name="remove-change"
                quiet
                label={`Leave ${label(change.node)} as it is`}
                onClick={() =>
                  ask((now) => ({ changes: now.changes.filter(({ node }) => node !== change.node) }))
                }
              >
                {"\u00d7"}
              </Button>
            </>
          ) : (
            <span class="hs-small">{`${amountWords(change)} at ${positionWords(change.positions)}`}</span>
          )}
        </li>
      ))}
    </ul>
  );
}

function How({ model, ask }: { model: ViewModel; ask: Ask }) {
  const info = useTrait<ChangeInfo>(model, "info");
  return (
    <div class="hs-controls">
      <span class="hs-small">kept as they are</span>
      <NameMenu
        name="frozen"
        label="What is kept as in the unchanged run"
        choices={info.frozen}
        value={useTrait<string>(model, "frozen")}
        onChoose={(frozen) => ask(() => ({ frozen }))}
      />
      <Argument
        name="generate"
        field={info.generate}
        value={useTrait<number>(model, "generate")}
        onChange={(generate) => ask(() => ({ generate: Number(generate) }))}
      />
      <Argument
        name="temperature"
        field={info.temperature}
        value={useTrait<number>(model, "temperature")}
        onChange={(temperature) => ask(() => ({ temperature: Number(temperature) }))}
      />
      <Button
        name="reset-changes"
        quiet
        title="Take all changes back"
        onClick={() => ask(() => ({ changes: [] }))}
      >
        Reset
      </Button>
    </div>
  );
}
