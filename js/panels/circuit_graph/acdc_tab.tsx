// The tab of ACDC: a search that a person starts, its edges vanishing, and for each threshold what it has found, beside
// what attribution finds.
import { useEffect, useMemo, useState } from "preact/hooks";
import { Argument, type Field } from "../../lib/arguments";
import { BarList, type Row } from "../../lib/bar_list";
import { Button, type Choice, NameMenu } from "../../lib/controls";
import { SmallField } from "../../lib/fields";
import { count, fixed } from "../../lib/format";
import {
  canAsk,
  type Failure,
  isBusy,
  type Status,
  select,
  useRising,
  useSelection,
  useTrait,
  write,
} from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { Absent, ErrorLine, RunState } from "../../lib/status";
import { useStore } from "../../lib/store";
import type { CircuitInfo } from "./controls";
import { type Edge, nodeOfPlace, nodesOf, placeOfNode } from "./graph";
import { sizeOf } from "./lines";
import { type Hovered, Picture } from "./picture";
import {
  type Compared,
  type Left,
  MOST_DRAWN,
  numberText,
  parseThresholds,
  plainValue,
  type Search,
  type Settings,
  sweepBetween,
  thresholdAt,
  thresholdText,
} from "./search";
import type { CircuitState } from "./state";
import { ThresholdChart } from "./threshold_chart";
import { useArrange } from "./ways";
import { edgeName, longName } from "./words";

type Props = PanelProps<CircuitState>;
const LISTED = 12;

export interface SearchInfo extends CircuitInfo {
  search: {
    /** The metric of a first search. */
    metric: string;
    /** By metric, the threshold that is offered. */
    thresholds: Record<string, number>;
    order: Field;
    ablation: Field;
    seed: Field;
  };
}

export function AcdcTab({ model, state }: Props) {
  const { value: search, problem } = useStore(state.search);
  const left = useStore(state.left);
  const error = useTrait<Failure | null>(model, "error");
  const failure = problem === null ? error : { message: problem };
  const asks = canAsk(model);
  return (
    <>
      {asks ? (
        <SearchControls model={model} state={state} search={search} />
      ) : (
        search && <Made search={search} />
      )}
      <ErrorLine error={failure} rpc={asks ? state.rpc : null} />
      {search && left && <Running model={model} search={search} left={left} />}
      {search && !left && <Found model={model} search={search} />}
      {!search && failure === null && <Absent>{asks ? BEFORE : "No search was run here."}</Absent>}
    </>
  );
}

const BEFORE =
  "ACDC cuts one edge after another, from the logits down, and leaves it out if the metric then gets worse by less than the threshold. Press Run.";

/** Without a kernel: how the search was made. */
function Made({ search }: { search: Search }) {
  const { params, thresholds, provenance } = search.json;
  const { order, ablation } = params as { order?: string; ablation?: string };
  const one = thresholds.length === 1 ? `threshold ${numberText(thresholds[0] ?? 0)}` : "";
  const words = [one, `order: ${order}`, `ablation: ${ablation}`, provenance.undecided ? "stopped" : ""];
  return (
    <p class="hs-small" data-hs="params">
      {words.filter(Boolean).join(", ")}
    </p>
  );
}

// What is asked for

function SearchControls({ model, state, search }: Props & { search: Search | null }) {
  const info = useTrait<SearchInfo>(model, "info");
  const status = useTrait<Status>(model, "status");
  const known = useTrait<Settings | null | undefined>(model, "search");
  const draft = useStore(state.draft);
  const { value: graph } = useStore(state.graph);
  const settings = settingsOf(info, known, draft);
  const choose = (change: Partial<Settings>) => state.draft.set({ ...draft, ...change });
  const { metric, threshold, start } = settings;
  const offered = info.search.thresholds[metric] ?? 0.1;
  const every = search?.json.edges ?? graph?.json.edges ?? 0;
  const draws = settings.order === "random" || settings.ablation === "resample";
  return (
    <div class="hs-controls" data-hs="controls">
      <NameMenu
        name="search-metric"
        label="Metric"
        choices={info.metrics}
        value={metric}
        onChoose={(metric) => choose({ metric, threshold: [info.search.thresholds[metric] ?? 0.1] })}
      />
      <SmallField
        name="search-threshold"
        label="threshold"
        help={`An edge goes if the metric gets worse by less, in its own unit. Several: 0.01, 0.03; a sweep: 0.01 to 1. ${numberText(offered)} is a loss that is small in one prompt, but losses of many edges add up`}
        value={thresholdText(threshold)}
        size={Math.min(28, Math.max(6, thresholdText(threshold).length))}
        take={(text) => {
          const parsed = parseThresholds(text);
          if (typeof parsed === "string") return parsed;
          choose({ threshold: parsed });
          return null;
        }}
      />
      {threshold.length === 1 && (
        <Button
          name="sweep"
          quiet
          title="Search for eight thresholds, from a tenth of this one to ten times as much"
          onClick={() =>
            choose({
              threshold: sweepBetween((threshold[0] ?? offered) / 10, 10 * (threshold[0] ?? offered)),
            })
          }
        >
          Sweep
        </Button>
      )}
      <NameMenu
        name="start"
        label="Begin with"
        choices={STARTS}
        value={start === null ? "all" : "largest"}
        onChoose={(name) => choose({ start: name === "all" ? null : Math.max(1, Math.round(every / 4)) })}
      />
      {start !== null && (
        <Argument
          name="start-size"
          field={{
            ...info.search.seed,
            label: "edges",
            help: "how many of the largest edges by attribution",
            least: 1,
          }}
          value={start}
          onChange={(n) => choose({ start: n as number })}
        />
      )}
      {(["ablation", "order"] as const).map((name) => (
        <Argument
          key={name}
          name={name}
          field={info.search[name]}
          value={settings[name]}
          onChange={(value) => choose({ [name]: value })}
        />
      ))}
      {draws && (
        <Argument
          name="seed"
          field={info.search.seed}
          value={settings.seed}
          onChange={(seed) => choose({ seed: seed as number })}
        />
      )}
      <RunState
        model={model}
        rpc={state.rpc}
        status={isBusy(status) ? status : "idle"}
        label="Removing edges"
        took={null}
        onRun={() => state.startSearch(settings)}
      />
    </div>
  );
}

type Start = "all" | "largest";
const STARTS: (Choice & { name: Start })[] = [
  { name: "all", label: "all edges", help: "try every edge of the model" },
  {
    name: "largest",
    label: "largest by attribution",
    help: "leave out the others first; with both starts at the same thresholds, it is said what that changes",
  },
];

/** Those that were chosen, or else those of the last search, or else of a first one. */
function settingsOf(
  info: SearchInfo,
  known: Settings | null | undefined,
  draft: Partial<Settings>,
): Settings {
  const { metric, thresholds, order, ablation } = info.search;
  const first = {
    metric,
    threshold: [thresholds[metric] ?? 0.1],
    order: order.default as Settings["order"],
    ablation: ablation.default as Settings["ablation"],
    seed: 0,
    start: null,
  };
  return { ...first, ...known, ...draft };
}

// While it runs

function Running({ model, search, left }: Pick<Props, "model"> & { search: Search; left: Left }) {
  const { size, tried, at } = left.json;
  const { edges, thresholds } = search.json;
  const [hovered, setHovered] = useState<Hovered>(null);
  const which =
    thresholds.length > 1
      ? ` \u00b7 threshold ${numberText(thresholds[at] ?? 0)}, ${thresholds.length - at} of ${thresholds.length}`
      : "";
  const cut =
    size > MOST_DRAWN
      ? ` \u00b7 ${MOST_DRAWN.toLocaleString("en")} are drawn, the largest by attribution`
      : "";
  return (
    <>
      <p class="hs-small hs-left" role="status" data-hs="left">
        {`${size.toLocaleString("en")} of ${edges.toLocaleString("en")} edges left \u00b7 ${tried.toLocaleString("en")} tried${which}${cut}`}
      </p>
      <Picture
        label={`${size} edges are left`}
        nodes={search.graph.nodes}
        all={search.graph.nodes}
        edges={left.edges}
        rising={useRising(model)}
        arrange="head"
        pinned={null}
        hovered={hovered}
        onHover={setHovered}
        action="Its edges are being tried"
        onChoose={() => {}}
      />
      <p class="hs-detail-words hs-said" data-hs="under-pointer">
        {hovered && "edge" in hovered
          ? edgeName(hovered.edge)
          : "Wide edges were tried and stay; thin ones are still to be tried."}
      </p>
    </>
  );
}

// What was found

function Found({ model, search }: Pick<Props, "model"> & { search: Search }) {
  const info = useTrait<SearchInfo>(model, "info");
  const chosen = useTrait<number | null | undefined>(model, "threshold");
  const [dragged, setDragged] = useState<number | null>(null);
  useEffect(() => setDragged(null), [chosen, search]);
  const at = dragged ?? thresholdAt(search, chosen);
  const edges = useMemo(() => search.circuit(at), [search, at]);
  const nodes = useMemo(() => nodesOf(search.graph, edges), [search, edges]);
  const { thresholds, params } = search.json;
  const metric = info.metrics.find(({ name }) => name === params.metric)?.label ?? params.metric ?? "metric";
  const pinned = nodeOfPlace(search.graph, useSelection(model));
  const [hovered, setHovered] = useState<Hovered>(null);
  const show = (index: number) => write(model, "threshold", thresholds[index]);
  const pin = (name: string | null) =>
    select(model, name === null || name === pinned ? null : placeOfNode(name));
  const said = hovered && "edge" in hovered ? hovered.edge : null;
  return (
    <>
      <div class="hs-slider hs-small" data-hs="found">
        {thresholds.length > 1 && (
          <label class="hs-slider-label" title="Whose circuit is shown">
            <span>
              Threshold <output data-hs="threshold-shown">{numberText(thresholds[at] ?? 0)}</output>
            </span>
            <input
              type="range"
              data-hs="threshold"
              min={0}
              max={thresholds.length - 1}
              value={at}
              aria-valuetext={numberText(thresholds[at] ?? 0)}
              onInput={({ currentTarget }) => setDragged(Number(currentTarget.value))}
              onChange={({ currentTarget }) => show(Number(currentTarget.value))}
            />
          </label>
        )}
        <span data-hs="found-size">{foundWords(search, at, edges.length, nodes.length, metric)}</span>
        {canAsk(model) && <Use model={model} />}
      </div>
      <div class="hs-circuit-area">
        <div>
          {edges.length > 0 ? (
            <Picture
              label={`Circuit of ${count(edges.length, "edge")}`}
              nodes={nodes}
              all={search.graph.nodes}
              edges={edges}
              rising={useRising(model)}
              arrange={useArrange(model)}
              pinned={pinned}
              pinStandsOut
              hovered={hovered}
              onHover={setHovered}
              action="Click to see its edges"
              onChoose={pin}
            />
          ) : (
            <Absent>Every edge was removed: the threshold is more than all of them are worth.</Absent>
          )}
          <p class="hs-detail-words hs-said" data-hs="under-pointer">
            {said ? (
              <>
                {edgeName(said)} <b>{search.fate(said)}</b>
              </>
            ) : (
              keyWords(thresholds.length > 1)
            )}
          </p>
        </div>
        <div class="hs-circuit-side">
          <Costs
            search={search}
            edges={edges}
            node={hovered && "node" in hovered ? hovered.node : pinned}
            onHover={setHovered}
            onPin={pin}
          />
        </div>
      </div>
      <div class="hs-circuit-area hs-beside">
        {thresholds.length > 1 && <ThresholdChart search={search} label={metric} at={at} onChoose={show} />}
        <div>
          <Comparison model={model} search={search} at={at} metric={metric} />
          <Areas model={model} />
        </div>
      </div>
    </>
  );
}

function keyWords(several: boolean): string {
  const width = several
    ? "Width is the threshold at which an edge goes, or what it costs beyond the largest one."
    : "Width is by how much the metric gets worse without the edge.";
  return `${width} A head reads queries left, keys in the middle, values right.`;
}

function foundWords({ json }: Search, at: number, drawn: number, nodes: number, metric: string): string {
  const { sizes, values, edges, params, baselines, provenance } = json;
  const size = sizes[at] ?? 0;
  const words = [
    `${size.toLocaleString("en")} of ${edges.toLocaleString("en")} edges, ${count(nodes, "node")}`,
  ];
  const [value, whole] = [values[at] ?? null, baselines.clean];
  if (value === null) words.push(`stopped: ${count(provenance.undecided ?? 0, "edge")} undecided`);
  else {
    const model = whole ? ` (whole model ${plainValue(params.metric, whole)})` : "";
    words.push(`${metric} ${plainValue(params.metric, value)}${model}`);
  }
  if (drawn < size) words.push(`the ${drawn.toLocaleString("en")} costliest are drawn`);
  return words.join(" \u00b7 ");
}

/** Makes the circuit that of the tabs that run one. */
function Use({ model }: Pick<Props, "model">) {
  const used = useTrait<string | undefined>(model, "source") === "acdc";
  return (
    <button
      type="button"
      class="hs-button hs-button-quiet"
      data-hs="use"
      aria-pressed={used}
      title={
        used
          ? "The other tabs run this circuit. Click to go back to the largest edges"
          : "Let the other tabs run this circuit"
      }
      onClick={() => write(model, "source", used ? "edges" : "acdc")}
    >
      {used ? "Used in the other tabs" : "Use this circuit"}
    </button>
  );
}

/** How well the thresholds at which edges go tell those of the kept circuit from all others, beside attribution. */
function Areas({ model }: Pick<Props, "model">) {
  const { acdc, attribution } =
    useTrait<{ acdc?: number; attribution?: number } | undefined>(model, "areas") ?? {};
  const name = useTrait<string>(model, "kept_name");
  if (acdc === undefined) return null;
  const beside = attribution === undefined ? "" : `, ${fixed(attribution)} for attribution's scores`;
  return (
    <p
      class="hs-quiet"
      data-hs="areas-of-kept"
      title="The chance that an edge of the kept circuit ranks above one that is not in it: 1 is perfect, 0.5 is chance"
    >
      {`Against the kept circuit (${name}), the area under the ROC curve is ${fixed(acdc)} for these thresholds${beside}.`}
    </p>
  );
}

interface ComparisonProps extends Pick<Props, "model"> {
  search: Search;
  at: number;
  metric: string;
}

/** What other ways find at this threshold. */
function Comparison({ model, search, at, metric }: ComparisonProps) {
  const compared = useTrait<Compared[] | undefined>(model, "compared") ?? [];
  const { params, sizes, values } = search.json;
  if (compared.length === 0) return null;
  const part = params.start !== null && params.start !== undefined;
  const labels = {
    other: part ? "ACDC from all edges" : "ACDC from the largest",
    top: `${sizes[at]} largest by attribution`,
  };
  const value = (one: number | null | undefined) => plainValue(params.metric, one);
  return (
    <table class="hs-compared" data-hs="compared">
      <caption>Beside other circuits</caption>
      <thead>
        <tr>
          <td />
          <th scope="col">edges</th>
          <th scope="col">{metric}</th>
          <th scope="col" title="The edges that are in both circuits, as a part of those in either">
            Jaccard
          </th>
          <th scope="col" title="Edges that only the circuit shown has, and that only the other has">
            not shared
          </th>
        </tr>
      </thead>
      <tbody>
        <tr>
          <th scope="row">{part ? "ACDC from the largest" : "ACDC from all edges"}</th>
          <td>{sizes[at]}</td>
          <td>{value(values[at])}</td>
          <td />
          <td />
        </tr>
        {compared.map((one) => (
          <tr key={one.name}>
            <th scope="row">{labels[one.name]}</th>
            <td>{one.sizes[at]}</td>
            <td>{value(one.values[at])}</td>
            <td>{one.jaccard[at]?.toFixed(2)}</td>
            <td>{one.alone[at]?.join(" / ")}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface CostsProps {
  search: Search;
  edges: readonly Edge[];
  /** Whose edges alone are listed. */
  node: string | null;
  onHover(hovered: Hovered): void;
  onPin(name: string | null): void;
}

/** The edges that cost most, of the circuit or of one node. */
function Costs({ search, edges, node, onHover, onPin }: CostsProps) {
  const largest = edges.reduce((most, edge) => Math.max(most, sizeOf(edge)), 0);
  const some = node
    ? edges.filter(({ from, to, readers }) => from === node || to === node || readers.includes(node))
    : edges;
  const rows = some.slice(0, LISTED).map(
    (edge): Row => ({
      key: `${edge.from} ${edge.receiver}`,
      text: edgeName(edge),
      share: edge.score,
      number: search.amount(edge),
      title: `${edgeName(edge)} ${search.fate(edge)}. Click to pin ${longName(edge.from)}`,
      onHover: (over) => onHover(over ? { edge } : null),
      onClick: () => onPin(edge.from),
    }),
  );
  return (
    <BarList
      name="costs"
      title={
        node
          ? `Edges of ${longName(node)}`
          : search.json.thresholds.length > 1
            ? "Threshold at which they go"
            : "Costliest edges"
      }
      rows={rows}
      count={some.length}
      largest={largest}
      nothing="None in this circuit."
    />
  );
}
