// An edge opened into the heads that carried it, and a head into what made it look where it looked.
import type { Row } from "../../lib/bar_list";
import { fixed, signed } from "../../lib/format";
import { canAsk, type Failure, useTrait, type ViewModel } from "../../lib/model";
import { visibleText } from "../../lib/tokens";
import type { Graph } from "./graph";
import { Listed } from "./links";
import type { FeatureState } from "./state";
import { type Names, nameOf } from "./words";

export interface OpenedEdge {
  source: string;
  target: string;
  /** Its layer and number. */
  head?: [number, number];
}

interface HeadsJson {
  source: string;
  target: string;
  edge: number;
  direct: number;
  heads: [[number, number], number][];
  /** The sum of the heads that are not listed. */
  others: number;
}

interface SideJson {
  rows: [string, number][];
  others: number;
  bias: number;
}

interface ScoreJson {
  layer: number;
  head: number;
  query: number;
  key: number;
  score: number;
  of_query: SideJson;
  of_key: SideJson;
}

interface HeadsProps {
  model: ViewModel;
  state: FeatureState;
  graph: Graph;
  names: Names;
  edge: OpenedEdge;
}

const HEADS = 5;
const PARTS = 4;

export function Heads(props: HeadsProps) {
  const { model, state, edge } = props;
  const found = useTrait<HeadsJson | null | undefined>(model, "heads");
  const score = useTrait<ScoreJson | null | undefined>(model, "score");
  const error = useTrait<Failure | null | undefined>(model, "error");
  if (!found || found.source !== edge.source || found.target !== edge.target)
    return (
      <div class="hs-fg-heads hs-muted" data-hs="heads-wait">
        {error ? error.message : "Telling the heads apart\u2026"}
      </div>
    );
  const ends = { source: edge.source, target: edge.target };
  const rows = found.heads.map(([[layer, head], value]): Row => {
    const open = edge.head?.[0] === layer && edge.head[1] === head;
    return {
      key: `${layer}.${head}`,
      text: `head ${layer}.${head}`,
      share: value,
      number: signed(value),
      title: `${signed(value)} came with head ${head} of layer ${layer} as the last head on the way${
        canAsk(model) ? `. Click to ${open ? "close it" : "see what made it look there"}` : ""
      }`,
      onClick: canAsk(model)
        ? () => state.rpc.request("open_edge", open ? ends : { ...ends, head: [layer, head] })
        : undefined,
      beside: open && <Looked {...props} score={score} error={error} />,
    };
  });
  const tail = [
    plainRow("direct", "through no head", found.direct),
    ...(found.others === 0 ? [] : [plainRow("others", "other heads", found.others)]),
  ];
  const largest = Math.max(...[...rows, ...tail].map(({ share }) => Math.abs(share)), 1e-9);
  return (
    <div class="hs-fg-heads" data-hs="heads">
      <Listed
        name="edge-heads"
        title="Carried by"
        rows={rows}
        tail={tail}
        largest={largest}
        nothing="Nothing."
        most={HEADS}
        open={edge.head?.join(".")}
      />
    </div>
  );
}

const plainRow = (key: string, text: string, value: number): Row => ({
  key,
  text: <span class="hs-muted">{text}</span>,
  share: value,
  number: signed(value),
  title: `${text}: ${signed(value)}`,
});

interface LookedProps extends HeadsProps {
  score: ScoreJson | null | undefined;
  error: Failure | null | undefined;
}

/** What made a head look from one position at another: by who wrote its query, and by who wrote its key. */
function Looked({ graph, names, edge, score, error }: LookedProps) {
  if (!score || score.layer !== edge.head?.[0] || score.head !== edge.head[1])
    return (
      <div class="hs-fg-heads hs-muted" data-hs="score-wait">
        {error ? error.message : "Reading what made it look there\u2026"}
      </div>
    );
  const at = (position: number) => `${visibleText(graph.json.prompt.tokens[position] ?? "")} (${position})`;
  const largest = Math.max(
    ...[score.of_query, score.of_key].flatMap(({ rows, others, bias }) =>
      [...rows.map(([, value]) => value), others, bias].map(Math.abs),
    ),
    1e-9,
  );
  const side = (name: string, title: string, { rows, others, bias }: SideJson) => (
    <Listed
      name={name}
      title={title}
      rows={rows.map(([id, value]) => ({
        key: id,
        text: nameOf(graph, names, id),
        share: value,
        number: signed(value),
        title: `${nameOf(graph, names, id)} adds ${signed(value)} to the score`,
      }))}
      tail={[
        plainRow("bias", "biases", bias),
        ...(others === 0 ? [] : [plainRow("others", "other nodes", others)]),
      ]}
      largest={largest}
      nothing="Nothing."
      most={PARTS}
    />
  );
  return (
    <div class="hs-fg-heads" data-hs="score">
      <p
        class="hs-detail-words"
        title="An attention score, before the softmax. It is linear in the query if the key is fixed, and the reverse, so each list sums to it"
      >
        {`looks from ${at(score.query)} at ${at(score.key)}: score `}
        <b>{fixed(score.score)}</b>
      </p>
      {side("of-query", "Wrote its query", score.of_query)}
      {side("of-key", "Wrote its key", score.of_key)}
    </div>
  );
}
