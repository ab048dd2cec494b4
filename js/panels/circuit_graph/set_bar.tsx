// What can be done with the nodes that are chosen in the picture, what was done, and what was asked of them.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { BarList, type Row } from "../../lib/bar_list";
import { Button, type Choice } from "../../lib/controls";
import { count, percent } from "../../lib/format";
import { canAsk, useTrait, type ViewModel, write } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import type { OnAskOfNodesRequest } from "../../wire/requests";
import type { Edit, Graph } from "./graph";
import type { Group } from "./groups";
import { type Answer, type AnswerJson, decodeAnswer, type Question } from "./node_sets";
import { RobustnessTable, spreadOf } from "./robustness_table";
import type { CircuitState } from "./state";
import { longName, shortName } from "./words";

type Props = PanelProps<CircuitState>;
type Named = Choice & { name: OnAskOfNodesRequest["what"] };
const NAMED = 6;

/** A few nodes by name, of many the first. */
export function namesOf(nodes: readonly string[]): string {
  const named = nodes.slice(0, NAMED).map(shortName).join(", ");
  return nodes.length > NAMED ? `${named} and ${nodes.length - NAMED} more` : named;
}

/** Nodes that are drawn as one, by name, as pictures take them. */
export function useGroups(model: ViewModel): Group[] {
  const groups = useTrait<Record<string, string[]>>(model, "groups");
  return useMemo(() => Object.entries(groups).map(([name, nodes]) => ({ name, nodes })), [groups]);
}

/** How the picture takes part: which nodes are chosen and grouped, and how that changes. */
export function useSets(model: ViewModel, state: CircuitState) {
  const names = useTrait<string[]>(model, "chosen");
  const chosen = useMemo(() => new Set(names), [names]);
  const groups = useGroups(model);
  if (!canAsk(model)) return { groups };
  return {
    groups,
    chosen,
    onToggle: (name: string) =>
      write(model, "chosen", chosen.has(name) ? names.filter((one) => one !== name) : [...names, name]),
    onChooseAll: (more: readonly string[]) => write(model, "chosen", [...new Set([...names, ...more])]),
    onOpenGroup: (name: string) => state.rpc.request("ungroup_nodes", { name }),
  };
}

export function SetBar({ model, state, graph }: Props & { graph: Graph }) {
  const all = useTrait<string[]>(model, "chosen");
  const chosen = useMemo(() => all.filter((name) => graph.nodes.includes(name)), [all, graph]);
  const { questions } = useTrait<{ questions: Named[] }>(model, "info");
  if (!canAsk(model) || chosen.length === 0) return null;
  const { rpc } = state;
  const nodes = [...chosen];
  return (
    <div class="hs-controls hs-set" data-hs="set" role="group" aria-label="The chosen nodes">
      <b title={chosen.map(longName).join(", ")}>{namesOf(chosen)}</b>
      <Button
        name="keep-nodes"
        title="Keep these nodes and the edges between them, and nothing else"
        onClick={() => rpc.request("keep_nodes", { nodes })}
      >
        Keep only these
      </Button>
      <Button
        name="remove-nodes"
        title="Remove these nodes from the circuit"
        onClick={() => rpc.request("remove_nodes", { nodes })}
      >
        Remove
      </Button>
      {questions.map(({ name, label, help }) => (
        <Button
          key={name}
          name={`ask-${name}`}
          title={`${capital(help ?? label)}`}
          quiet
          onClick={() => rpc.request("ask_of_nodes", { what: name, nodes })}
        >
          {capital(label)}
        </Button>
      ))}
      <NameOfGroup onName={(name) => rpc.request("group_nodes", { nodes, name })} />
      <Button
        name="choose-none"
        title="Choose no nodes (Escape)"
        quiet
        onClick={() => write(model, "chosen", [])}
      >
        Clear
      </Button>
    </div>
  );
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Asks for the name of a group before it is made. */
function NameOfGroup({ onName }: { onName(name: string): void }) {
  const [naming, setNaming] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), [naming]);
  if (!naming)
    return (
      <Button
        name="group"
        title="Draw these nodes as one, under a name"
        quiet
        onClick={() => setNaming(true)}
      >
        {"Group\u2026"}
      </Button>
    );
  const submit = (event: Event) => {
    event.preventDefault();
    const name = input.current?.value.trim();
    if (name) onName(name);
    setNaming(false);
  };
  return (
    <form class="hs-small-field" onSubmit={submit}>
      <input
        ref={input}
        type="text"
        data-hs="group-name"
        aria-label="Name of the group"
        placeholder="name of the group"
        maxLength={40}
        onBlur={() => setNaming(false)}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === "Escape") setNaming(false);
        }}
      />
    </form>
  );
}

/** What the circuit on the screen is beside its size: edits, in order, and groups. */
export function EditsLine({ model, state }: Props) {
  const edits = useTrait<Edit[]>(model, "edits");
  const groups = useTrait<Record<string, string[]>>(model, "groups");
  const names = Object.keys(groups);
  if (edits.length === 0 && names.length === 0) return null;
  const asks = canAsk(model);
  return (
    <div class="hs-controls hs-small" data-hs="edits">
      {edits.length > 0 && <span>{editWords(edits)}</span>}
      {edits.length > 0 && asks && (
        <Button
          name="undo-edit"
          title={`Take back: ${editWords(edits.slice(-1))}`}
          quiet
          onClick={() => state.rpc.request("undo_edit", {})}
        >
          Undo
        </Button>
      )}
      {names.map((name) => (
        <span key={name} class="hs-group-name" title={groups[name]?.map(longName).join(", ")}>
          {`${name} (${groups[name]?.length})`}
          {asks && (
            <Button
              name="ungroup"
              label={`Draw the nodes of ${name} one by one again`}
              quiet
              onClick={() => state.rpc.request("ungroup_nodes", { name })}
            >
              {"\u00d7"}
            </Button>
          )}
        </span>
      ))}
    </div>
  );
}

export const editWords = (edits: readonly Edit[]): string =>
  edits
    .map((edit) => ("keep" in edit ? `only ${namesOf(edit.keep)}` : `without ${namesOf(edit.remove)}`))
    .join("; then ");

/** What was asked of some nodes, and the answer. */
export function AnswerCard({ model, state }: Props) {
  const question = useTrait<Question | null>(model, "question");
  const json = useTrait<AnswerJson | null>(model, "answer");
  const answer = useMemo(() => json && decodeAnswer(json), [json]);
  if (!question || (!answer && !canAsk(model))) return null;
  return (
    <section class="hs-answer" data-hs="answer" aria-label="What these nodes do">
      <h3 class="hs-title">
        {TITLES[question.what]}{" "}
        <small title={question.nodes.map(longName).join(", ")}>{namesOf(question.nodes)}</small>
        {canAsk(model) && (
          <Button
            name="close-answer"
            label="Close the answer"
            quiet
            onClick={() => state.rpc.request("close_answer", {})}
          >
            {"\u00d7"}
          </Button>
        )}
      </h3>
      {answer ? (
        <AnswerOf model={model} question={question} answer={answer} />
      ) : (
        <p class="hs-muted">{"Running\u2026"}</p>
      )}
    </section>
  );
}

const TITLES: Record<string, string> = {
  patch: "Patched",
  paths: "Straight into the logits",
  ablate: "Ablated",
  faithfulness: "Run alone",
};

function AnswerOf({ model, question, answer }: { model: ViewModel; question: Question; answer: Answer }) {
  const { what, nodes } = question;
  if ("kept" in answer) {
    const spread = spreadOf(answer.kept);
    const whose =
      what === "ablate" ? `Without ${theseOf(nodes)} the model` : `${capital(theseOf(nodes))} alone`;
    const verb = what === "ablate" || nodes.length === 1 ? "keeps" : "keep";
    const words =
      spread === null
        ? ""
        : `${whose} ${verb} ${spread} of what it does, depending on what stands in for the rest.`;
    return <RobustnessTable model={model} robustness={answer.kept} words={words} onChoose={null} />;
  }
  const [joint = Number.NaN, ...alone] = answer.carried;
  if (what === "paths")
    return (
      <p class="hs-said">{`${percent(joint)} of the gap goes straight from ${theseOf(nodes)} into the logits.`}</p>
    );
  if (nodes.length === 1)
    return <p class="hs-said">{`${percent(joint)} of the gap goes through this node.`}</p>;
  const sum = alone.reduce((total, one) => total + one, 0);
  const rows = nodes.map(
    (name, i): Row => ({
      key: name,
      text: shortName(name),
      share: alone[i] ?? Number.NaN,
      title: `${longName(name)} alone`,
    }),
  );
  return (
    <>
      <p class="hs-said">{`Together they carry ${percent(joint)} of the gap; each alone, ${percent(sum)} in sum.`}</p>
      <BarList
        name="alone"
        title="Each alone"
        rows={rows}
        largest={Math.max(Math.abs(joint), ...alone.map(Math.abs))}
        nothing=""
      />
    </>
  );
}

const theseOf = (nodes: readonly string[]): string =>
  nodes.length === 1 ? "this node" : `these ${count(nodes.length, "node")}`;
