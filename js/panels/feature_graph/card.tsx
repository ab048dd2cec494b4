// What is said of the pinned node: what it reads, who reads it, and what its feature is.
import { useEffect, useState } from "preact/hooks";
import { BarList, type Row } from "../../lib/bar_list";
import { Button } from "../../lib/controls";
import { fixed, signed } from "../../lib/format";
import { canAsk, useTrait, type ViewModel } from "../../lib/model";
import { useStore } from "../../lib/store";
import { TokenStrip } from "../../lib/token_strip";
import { visibleText } from "../../lib/tokens";
import { featureKey, type Graph, type GraphNode, weightOf } from "./graph";
import type { FeatureState } from "./state";
import { factsOf, longName, type Names, shortName } from "./words";

const LISTED = 10;

interface CardProps {
  model: ViewModel;
  state: FeatureState;
  graph: Graph;
  node: GraphNode;
  names: Names;
  subgraph: ReadonlySet<string>;
  onHover(id: string | null): void;
  onPin(id: string): void;
}

export function Card(props: CardProps) {
  const { model, state, graph, node, names, subgraph } = props;
  const kept = subgraph.has(node.id);
  return (
    <section class="hs-fg-card" data-hs="card" aria-label="The pinned node">
      <h3 class="hs-title" data-hs="card-title">
        {longName(graph, names, node)}
      </h3>
      <p class="hs-detail-words">{factsOf(graph, node)}</p>
      {canAsk(model) && node.kind !== "bias" && (
        <div class="hs-controls">
          <Button
            name="toggle-subgraph"
            title={kept ? "Take it out of the subgraph" : "Put it into the subgraph (Shift and click)"}
            onClick={() => state.rpc.request(kept ? "unpin_nodes" : "pin_nodes", { nodes: [node.id] })}
          >
            {kept ? "Take out of the subgraph" : "Add to the subgraph"}
          </Button>
        </div>
      )}
      {node.kind === "feature" && <Described {...props} />}
      <Links {...props} />
    </section>
  );
}

function Links({ graph, node, names, onHover, onPin }: CardProps) {
  const rowOf = (other: GraphNode, weight: number): Row => ({
    key: other.id,
    text: shortName(graph, names, other),
    share: weight,
    number: signed(weight),
    title: `${longName(graph, names, other)}: ${signed(weight)}. Click to pin it`,
    onHover: (over) => onHover(over ? other.id : null),
    onClick: () => onPin(other.id),
  });
  const largestFirst = (rows: Row[]) => rows.filter(({ share }) => share !== 0).sort(bySize);
  const sources = graph.nodes.slice(0, graph.width);
  const reads = largestFirst(sources.map((other) => rowOf(other, weightOf(graph, other, node))));
  const read = largestFirst(graph.targets.map((other) => rowOf(other, weightOf(graph, node, other))));
  const largest = Math.max(...[...reads, ...read].map(({ share }) => Math.abs(share)), 1e-9);
  return (
    <>
      {node.row !== null && (
        <BarList
          name="reads"
          title="Reads"
          rows={reads.slice(0, LISTED)}
          count={reads.length}
          largest={largest}
          nothing={node.traced ? "Nothing that is shown here." : "Not traced: the run was stopped before."}
        />
      )}
      {node.row !== null && node.traced && <Sum graph={graph} node={node} reads={reads} />}
      {node.kind !== "logit" && (
        <BarList
          name="read-by"
          title="Read by"
          rows={read.slice(0, LISTED)}
          count={read.length}
          largest={largest}
          nothing="Nothing that is shown here."
        />
      )}
    </>
  );
}

const bySize = (a: Row, b: Row) => Math.abs(b.share) - Math.abs(a.share);

/** All that is read sums to what the node is: that it does can be seen. */
function Sum({ graph, node, reads }: { graph: Graph; node: GraphNode; reads: readonly Row[] }) {
  const shown = reads.reduce((sum, { share }) => sum + share, 0);
  const others = graph.rest[node.row ?? 0] ?? 0;
  const what = node.kind === "logit" ? "logit minus the mean logit" : "pre-activation";
  return (
    <p class="hs-detail-words" data-hs="sum">
      {`${fixed(shown)} from all of these `}
      {Math.abs(others) >= 0.005 && `${signed(others)} from nodes that are not here `}
      {`= ${fixed(shown + others)}; its ${what} is `}
      <b>{fixed(node.value)}</b>.
    </p>
  );
}

function Described({ model, state, node, names }: CardProps) {
  const { value: description } = useStore(state.description);
  const json = description?.json;
  const own = json?.layer === node.layer && json?.feature === node.feature ? json : null;
  return (
    <div class="hs-fg-feature" data-hs="feature">
      <NameField model={model} state={state} node={node} names={names} />
      {own && (
        <>
          <Words name="writes" title="Writes" tokens={own.promoted} />
          <Words name="against" title="Writes against" tokens={own.suppressed} />
          <Words name="reads-tokens" title="Reads embeddings" tokens={own.excited_by} />
          <p class="hs-detail-words">{own.note}</p>
          {description?.examples.map((example, i) => (
            <TokenStrip
              key={`${example.text} ${example.start}`}
              name={`example-${i}`}
              label={`Example ${i + 1}, text ${example.text}`}
              tokens={example.tokens}
              values={example.activations}
              unit="activation"
            />
          ))}
        </>
      )}
    </div>
  );
}

function Words({
  name,
  title,
  tokens,
}: {
  name: string;
  title: string;
  tokens: { text: string; value: number }[];
}) {
  if (tokens.length === 0) return null;
  return (
    <p class="hs-detail-words" data-hs={name}>
      {`${title} `}
      {tokens.map(({ text, value }, i) => (
        <span key={`${i}`} class="hs-token" title={signed(value)}>
          {`${i > 0 ? ", " : ""}${visibleText(text)}`}
        </span>
      ))}
    </p>
  );
}

function NameField({ model, state, node, names }: Pick<CardProps, "model" | "state" | "node" | "names">) {
  const known = names[featureKey(node)] ?? "";
  const [typed, setTyped] = useState(known);
  useEffect(() => setTyped(known), [known, node.id]);
  useTrait(model, "names");
  if (!canAsk(model)) return null;
  const commit = () => {
    if (typed !== known && node.layer !== null && node.feature !== null)
      state.rpc.request("name_feature", { layer: node.layer, feature: node.feature, name: typed });
  };
  return (
    <label class="hs-small-field hs-small" title="What you call this feature, at every position">
      <span>name</span>
      <input
        type="text"
        data-hs="feature-name"
        value={typed}
        placeholder={featureKey(node)}
        onInput={({ currentTarget }) => setTyped(currentTarget.value)}
        onBlur={commit}
        onKeyDown={(event) => event.key === "Enter" && commit()}
      />
    </label>
  );
}
