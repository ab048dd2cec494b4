// The edges of the pinned node: what it reads, which sums to what it is, and who reads it.
import { useState } from "preact/hooks";
import { BarList, type Row } from "../../lib/bar_list";
import { Button } from "../../lib/controls";
import { fixed, signed } from "../../lib/format";
import { canAsk, useTrait } from "../../lib/model";
import type { CardProps } from "./card";
import { type GraphNode, weightOf } from "./graph";
import { Heads, type OpenedEdge } from "./heads";
import { longName, shortName } from "./words";

const LISTED = 10;
/** A difference that two decimals don't show. */
const NOTHING = 0.005;

export function Links(props: CardProps) {
  const { model, graph, node } = props;
  const opened = useTrait<OpenedEdge | null | undefined>(model, "edge");
  const rowOf = rowMaker(props, opened);
  const sources = graph.nodes.slice(0, graph.width);
  const reads = largestFirst(sources.map((other) => rowOf(other, weightOf(graph, other, node), true)));
  const read = largestFirst(graph.targets.map((other) => rowOf(other, weightOf(graph, node, other), false)));
  const others = node.row === null ? 0 : (graph.rest[node.row] ?? 0);
  const tail = [...reads.filter(({ key }) => key === BIAS), ...(others === 0 ? [] : [restRow(others)])];
  const largest = Math.max(...[...reads, ...read, ...tail].map(({ share }) => Math.abs(share)), 1e-9);
  return (
    <>
      {node.row !== null && (
        <Listed
          name="reads"
          title="Reads"
          rows={reads.filter(({ key }) => key !== BIAS)}
          tail={tail}
          open={opened?.target === node.id ? opened.source : undefined}
          largest={largest}
          nothing={node.traced ? "Nothing that is shown here." : "Not traced: the run was stopped before."}
        />
      )}
      {node.row !== null && node.traced && <Sum node={node} rows={reads} others={others} />}
      {node.kind !== "logit" && (
        <Listed
          name="read-by"
          title="Read by"
          rows={read}
          largest={largest}
          nothing="Nothing that is shown here."
        />
      )}
    </>
  );
}

/** The key of the row of all biases. */
const BIAS = "bias";

function rowMaker(props: CardProps, opened: OpenedEdge | null | undefined) {
  const { model, state, graph, node, names, onHover, onPin } = props;
  return (other: GraphNode, weight: number, incoming: boolean): Row => {
    const [source, target] = incoming ? [other, node] : [node, other];
    const open = opened?.source === source.id && opened.target === target.id;
    return {
      key: other.kind === "bias" ? BIAS : other.id,
      text: shortName(graph, names, other),
      share: weight,
      number: signed(weight),
      title: `${longName(graph, names, other)}: ${signed(weight)}. Click to pin it`,
      onHover: (over) => onHover(over ? other.id : null),
      onClick: () => onPin(other.id),
      beside: incoming && other.kind !== "bias" && (open || canAsk(model)) && (
        <>
          <OpenHeads
            open={open}
            words={`Which heads carried what comes from ${shortName(graph, names, other)}`}
            onClick={
              canAsk(model)
                ? () =>
                    open
                      ? state.rpc.request("close_edge", {})
                      : state.rpc.request("open_edge", { source: source.id, target: target.id })
                : undefined
            }
          />
          {open && <Heads model={model} state={state} graph={graph} names={names} edge={opened} />}
        </>
      ),
    };
  };
}

function OpenHeads({
  open,
  words,
  onClick,
}: {
  open: boolean;
  words: string;
  onClick?: (() => void) | undefined;
}) {
  return (
    <button
      type="button"
      class="hs-plain hs-focusable hs-fg-open"
      data-hs="open-heads"
      title={words}
      aria-label={words}
      aria-expanded={open}
      disabled={!onClick}
      onClick={onClick}
    />
  );
}

const restRow = (others: number): Row => ({
  key: "rest",
  text: <span class="hs-muted">nodes not shown here</span>,
  share: others,
  number: signed(others),
  title: `What features and errors that are not in this view add: ${signed(others)}`,
});

const largestFirst = (rows: Row[]) =>
  rows.filter(({ share }) => share !== 0).sort((a, b) => Math.abs(b.share) - Math.abs(a.share));

interface ListedProps {
  name: string;
  title: string;
  rows: readonly Row[];
  /** Rows that are always shown, after the others. */
  tail?: readonly Row[];
  largest: number;
  nothing: string;
  most?: number;
  /** The key of a row that is always shown. */
  open?: string | undefined;
}

/** The largest rows, or all of them. */
export function Listed({ name, title, rows, tail = [], largest, nothing, most = LISTED, open }: ListedProps) {
  const [all, setAll] = useState(false);
  const shown = all ? rows : rows.filter(({ key }, i) => i < most || key === open);
  return (
    <div>
      <BarList
        name={name}
        title={title}
        rows={[...shown, ...tail]}
        count={rows.length + tail.length}
        largest={largest}
        nothing={nothing}
      />
      {rows.length > most && (
        <Button
          name={`${name}-all`}
          title={all ? "Show the largest only" : "Show every row"}
          quiet
          onClick={() => setAll(!all)}
        >
          {all ? "Show fewer" : `Show all ${rows.length + tail.length}`}
        </Button>
      )}
    </div>
  );
}

/** All that is read sums to what the node is: that it does can be seen. */
function Sum({ node, rows, others }: { node: GraphNode; rows: readonly Row[]; others: number }) {
  const whole = rows.reduce((sum, { share }) => sum + share, others);
  const what = node.kind === "logit" ? "logit above the mean" : "pre-activation";
  const gap = (node.value ?? Number.NaN) - whole;
  return (
    <p
      class="hs-detail-words"
      data-hs="sum"
      title="Edges and biases sum to what a node is: if the graph is right, there is no gap"
    >
      {"All rows sum to "}
      <b>{fixed(whole)}</b>
      {`; its ${what} is `}
      <b>{fixed(node.value)}</b>
      {Number.isFinite(gap) && ` (gap ${fixed(Math.abs(gap) < NOTHING ? 0 : gap)})`}.
    </p>
  );
}
