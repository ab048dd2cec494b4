// The fourth tab: how much of the loss is left when everything is resampled that a hypothesis says doesn't matter.
import { useMemo, useRef, useState } from "preact/hooks";
import { Argument, type Field } from "../../lib/arguments";
import { Button } from "../../lib/controls";
import { count } from "../../lib/format";
import { canAsk, type Failure, select, useRising, useSelection, useTrait, write } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { Absent, ErrorLine, Notes, RunState } from "../../lib/status";
import { useStore } from "../../lib/store";
import { isComing, useStatus } from "./controls";
import { type Graph, nodeOfPlace, nodesOf, placeOfNode } from "./graph";
import { type Hovered, Picture } from "./picture";
import { ScrubBar } from "./scrub_bar";
import { ScrubInspector } from "./scrub_inspector";
import { Marks, ScrubNodes, useMarks } from "./scrub_nodes";
import { type Outline, SCRUB_ARGUMENTS, type Scrubbing, sameHypothesis, sameSettings } from "./scrubbing";
import { CircuitSlider } from "./slider";
import type { CircuitState } from "./state";
import { useArrange } from "./ways";

type Props = PanelProps<CircuitState>;

export interface ScrubInfo {
  scrubbing: Record<(typeof SCRUB_ARGUMENTS)[number], Field>;
}

export function ScrubbingTab({ model, state }: Props) {
  const { value: graph } = useStore(state.graph);
  const { value: found, problem } = useStore(state.scrub.result);
  const outline = useTrait<Outline | null>(model, "outline");
  const error = useTrait<Failure | null>(model, "error");
  const failure = problem === null ? error : { message: problem };
  const asks = canAsk(model);
  const selected = useSelection(model);
  const said = useTrait<Record<string, string[]>>(model, "said");
  const refused = outline?.problem ?? null;
  // What is shown belongs to the choices before, until the first estimate by these.
  const settings = Object.fromEntries(SCRUB_ARGUMENTS.map((name) => [name, useTrait(model, name)]));
  const current =
    found !== null &&
    sameHypothesis(found.json.scrubbed, outline?.hypothesis ?? null) &&
    sameSettings(found.json.params, settings);
  const status = useStatus(model, refused === null && !(current && found.json.provenance.complete));
  return (
    <>
      <div class="hs-controls" data-hs="controls">
        <Settings model={model} state={state} />
        <RunState
          model={model}
          rpc={state.rpc}
          status={refused === null ? status : "done"}
          label="Scrubbing"
          took={current ? found.json.provenance.seconds : undefined}
          onRun={() => state.runAgain()}
        />
      </div>
      <ErrorLine error={failure} rpc={asks ? state.rpc : null} />
      {graph && asks && <Source model={model} state={state} graph={graph} outline={outline} />}
      {refused === null && found && (
        <ScrubBar state={state.scrub} found={found} total={outline?.data ?? 0} current={current} />
      )}
      {refused === null && !found && failure === null && (
        <Absent>{isComing(status) && asks ? "Scrubbing\u2026" : "Not run yet: press Run."}</Absent>
      )}
      {refused === null && current && <Notes notes={found.json.provenance.warnings} />}
      {graph && outline?.hypothesis && (
        <Hypothesis
          model={model}
          state={state}
          graph={graph}
          outline={outline}
          found={current ? found : null}
        />
      )}
      {refused === null && current && (
        <ScrubInspector found={found} said={said} pinned={graph && nodeOfPlace(graph, selected)} />
      )}
    </>
  );
}

function Settings({ model, state }: Props) {
  const { scrubbing } = useTrait<ScrubInfo>(model, "info");
  useStore(state.scrub.requested);
  for (const name of SCRUB_ARGUMENTS) useTrait(model, name);
  const choice = state.scrub.choice();
  if (canAsk(model)) {
    return (
      <>
        {SCRUB_ARGUMENTS.map((name) => (
          <Argument
            key={name}
            name={name}
            field={scrubbing[name]}
            value={choice[name]}
            onChange={(value) => state.scrub.run({ [name]: value })}
          />
        ))}
      </>
    );
  }
  const words = SCRUB_ARGUMENTS.map((name) => {
    const { label, type, choices } = scrubbing[name];
    const chosen = choices.find((one) => one.name === choice[name]);
    return type === "choice" ? chosen?.label : `${label} ${choice[name]}`;
  });
  return (
    <span class="hs-muted" data-hs="params">
      {words.join(", ")}
    </span>
  );
}

interface SourceProps extends Props {
  graph: Graph;
  outline: Outline | null;
}

/** Where the hypothesis comes from: the circuit on the screen, or edges of its own; and why it can't be run. */
function Source({ model, state, graph, outline }: SourceProps) {
  const own = useTrait<string[] | null>(model, "hypothesis_edges");
  const { problem, fits } = outline ?? { problem: null, fits: null };
  return (
    <>
      {own === null ? (
        <CircuitSlider model={model} graph={graph} />
      ) : (
        <p class="hs-slider hs-small" data-hs="own-hypothesis">
          {`A hypothesis of its own, ${count(own.length, "edge")}. `}
          <Button
            name="scrub-circuit"
            title="Take the circuit of the first tab for the hypothesis"
            onClick={() => state.rpc.request("scrub_circuit", {})}
          >
            Use the circuit
          </Button>
        </p>
      )}
      {problem !== null && (
        <p class="hs-quiet" data-hs="refused">
          {problem}{" "}
          {fits !== null && fits > 0 && (
            <Button name="fits" title="Make the circuit smaller" onClick={() => write(model, "edges", fits)}>
              {`Take the ${count(fits, "largest edge")}`}
            </Button>
          )}
        </p>
      )}
    </>
  );
}

interface HypothesisProps extends Props {
  graph: Graph;
  outline: Outline;
  found: Scrubbing | null;
}

/** The picture of the hypothesis, and its nodes with what must agree. */
function Hypothesis({ model, state, graph, outline, found }: HypothesisProps) {
  const list = useRef<HTMLDivElement>(null);
  const [hovered, setHovered] = useState<Hovered>(null);
  const pinned = nodeOfPlace(graph, useSelection(model));
  const edges = useMemo(() => edgesOf(outline, graph), [outline, graph]);
  const nodes = useMemo(() => nodesOf(graph, edges), [graph, edges]);
  const agree = useTrait<Record<string, string>>(model, "agree");
  const picture = useMarks(nodes, agree);
  const pin = (name: string | null) => {
    select(model, name === null || name === pinned ? null : placeOfNode(name));
    if (name !== null) list.current?.querySelector<HTMLElement>(`[data-name="${name}"] select`)?.focus();
  };
  return (
    <div class="hs-circuit-area hs-scrub-area">
      <div ref={picture}>
        <Picture
          label={`Hypothesis of ${count(edges.length, "edge")}`}
          nodes={nodes}
          all={graph.nodes}
          edges={edges}
          rising={useRising(model)}
          arrange={useArrange(model)}
          pinned={pinned}
          pinStandsOut
          hovered={hovered}
          onHover={setHovered}
          action="Click to choose what must agree"
          onChoose={pin}
        />
        <Marks />
      </div>
      <div class="hs-circuit-side" ref={list}>
        <ScrubNodes
          model={model}
          state={state}
          outline={outline}
          found={found}
          pinned={pinned}
          onHover={(node) => setHovered(node === null ? null : { node })}
          onPin={(name) => select(model, name === null || name === pinned ? null : placeOfNode(name))}
        />
      </div>
    </div>
  );
}

/** The edges of the hypothesis among those of the graph, which knows their scores. */
function edgesOf({ hypothesis }: Outline, graph: Graph) {
  const named = new Set(hypothesis?.edges);
  return graph.edges.filter(({ from, receiver, readers, part }) =>
    part
      ? readers.some((reader) => named.has(`${from}->${reader}<${part}>`))
      : named.has(`${from}->${receiver}`),
  );
}
