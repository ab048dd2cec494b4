// Features that are changed in the model itself: which, by how much, where, and what that does.

import { Argument, type Field } from "../../lib/arguments";
import { Button, type Choice, NameMenu } from "../../lib/controls";
import { canAsk, useTrait, type ViewModel } from "../../lib/model";
import { useStore } from "../../lib/store";
import { amountWords, type Change, positionWords, withChange } from "./change_list";
import { ChangeRow } from "./change_row";
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
  /** Nodes of the subgraph that are chosen. */
  chosen: ReadonlySet<string>;
}

type Groups = Readonly<Record<string, readonly string[]>>;

interface ChangeInfo {
  frozen: (Choice & { name: string })[];
  generate: Field;
  temperature: Field;
  seed: Field;
}

const OFFERS = [
  { name: "off", label: "Off", change: { scale: 0 }, title: "Switch it off: its activation is set to 0" },
  { name: "double", label: "\u00d72", change: { scale: 2 }, title: "Double its activation" },
  { name: "invert", label: "\u00d7\u22121", change: { scale: -1 }, title: "Let it write the opposite" },
];

export function Changes({ model, state, graph, names, pinned, chosen }: ChangesProps) {
  const changes = useTrait<Change[]>(model, "changes");
  const groups = useTrait<Groups>(model, "supernodes");
  const { value: effects, problem } = useStore(state.effects);
  const frozen = useTrait<string>(model, "frozen");
  const ask: Ask = (said) => state.changes.ask(said);
  const asks = canAsk(model);
  const changed = new Set(changes.map(({ node }) => node));
  const nodes = asks ? changeable(pinned, chosen, groups).filter((node) => !changed.has(node)) : [];
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
          <ChangeRows graph={graph} groups={groups} changes={changes} label={label} ask={asks ? ask : null} />
          {asks && <How model={model} ask={ask} />}
          {problem && <p class="hs-error">{problem}</p>}
          {effects && <EffectsTable effects={effects} frozen={frozen} />}
          {effects && <Generated effects={effects} />}
        </>
      )}
    </section>
  );
}

/** The pinned feature, the supernode that it is in, and those that are chosen. */
function changeable(pinned: GraphNode | null, chosen: ReadonlySet<string>, groups: Groups): string[] {
  const feature = pinned?.kind === "feature" ? [pinned.id] : [];
  const supernodes = Object.keys(groups).filter((name) => {
    const ids = groups[name] ?? [];
    return feature.some((id) => ids.includes(id)) || ids.every((id) => chosen.has(id));
  });
  return [...feature, ...supernodes];
}

type Ask = FeatureState["changes"]["ask"];

interface RowsProps {
  graph: Graph;
  groups: Groups;
  changes: readonly Change[];
  label(node: string): string;
  /** Null where nothing can be asked. */
  ask: Ask | null;
}

function ChangeRows({ graph, groups, changes, label, ask }: RowsProps) {
  const homeOf = (node: string) => [
    ...new Set((groups[node] ?? [node]).flatMap((id) => graph.byId.get(id)?.position ?? [])),
  ];
  return (
    <ul class="hs-fg-change-rows" data-hs="change-rows">
      {changes.map((change) => (
        <li key={change.node}>
          {ask ? (
            <ChangeRow
              change={change}
              label={label(change.node)}
              tokens={graph.json.prompt.tokens}
              home={homeOf(change.node)}
              onChange={(said) => ask((now) => ({ changes: withChange(now.changes, said) }))}
              onRemove={() =>
                ask((now) => ({ changes: now.changes.filter(({ node }) => node !== change.node) }))
              }
            />
          ) : (
            <p class="hs-small">
              <span class="hs-token">{label(change.node)}</span>
              {` ${amountWords(change)} ${positionWords(change.positions)}`}
            </p>
          )}
        </li>
      ))}
    </ul>
  );
}

function How({ model, ask }: { model: ViewModel; ask: Ask }) {
  const info = useTrait<ChangeInfo>(model, "info");
  const temperature = useTrait<number>(model, "temperature");
  const seed = useTrait<number>(model, "seed");
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
        value={temperature}
        onChange={(temperature) => ask(() => ({ temperature: Number(temperature) }))}
      />
      {temperature > 0 && (
        <Argument
          name="seed"
          field={info.seed}
          value={seed}
          onChange={(seed) => ask(() => ({ seed: Number(seed) }))}
        />
      )}
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
