// The pairs of tokens with the largest entries in a head's circuits: what it writes where it looks (OV), and what it
// looks for (QK).
import { useState } from "preact/hooks";
import { Button, type Choice, Menu } from "../../lib/controls";
import { fixed, signed } from "../../lib/format";
import { canAsk } from "../../lib/model";
import { Token } from "../../lib/tokens";
import type { CircuitsJson, TokenPair } from "./actions";
import { type ActionProps, useAnswer } from "./head_actions";
import { readInfo } from "./scene";

const CIRCUITS: (Choice & { name: CircuitsJson["circuit"] })[] = [
  { name: "ov", label: "OV", help: "which token the head makes likelier when it looks at a token" },
  { name: "qk", label: "QK", help: "which token the head looks for from a token" },
];
const SETS: (Choice & { name: CircuitsJson["tokens"] })[] = [
  { name: "prompt", label: "tokens of the prompt" },
  { name: "all", label: "all tokens" },
];

export function CircuitsPanel(props: ActionProps) {
  const { model, state, scene, head } = props;
  const answer = useAnswer<CircuitsJson>(props, "head_circuits");
  const reason = readInfo(model).actions?.circuits_reason ?? null;
  const [circuit, setCircuit] = useState<CircuitsJson["circuit"]>(answer?.circuit ?? "ov");
  const [tokens, setTokens] = useState<CircuitsJson["tokens"]>(answer?.tokens ?? "prompt");
  if (reason && !answer) {
    return (
      <p class="hs-quiet" data-hs="action-reason">
        {reason}
      </p>
    );
  }
  const run = () => state.act("circuits", "head_circuits", scene.attention.headAt(head), { circuit, tokens });
  const menus = [
    {
      name: "circuit",
      label: "Circuit",
      choices: CIRCUITS,
      value: circuit,
      choose: (index: number) => setCircuit(CIRCUITS[index]?.name ?? circuit),
    },
    {
      name: "circuit-tokens",
      label: "Tokens",
      choices: SETS,
      value: tokens,
      choose: (index: number) => setTokens(SETS[index]?.name ?? tokens),
    },
  ];
  return (
    <div class="hs-panel" data-hs="panel-circuits">
      {canAsk(model) && (
        <div class="hs-controls">
          {menus.map(({ name, label, choices, value, choose }) => (
            <Menu
              key={name}
              name={name}
              label={label}
              choices={choices}
              chosen={choices.findIndex((choice) => choice.name === value)}
              shown={value}
              onChoose={choose}
            />
          ))}
          <Button name="run-circuits" onClick={run}>
            Read the weights
          </Button>
        </div>
      )}
      {answer ? (
        <Pairs answer={answer} />
      ) : (
        <p class="hs-quiet">
          {CIRCUITS.map(({ label, help }) => `${label}: ${help}`).join("; ")}. Both are computed from the
          weights alone.
        </p>
      )}
    </div>
  );
}

function Pairs({ answer }: { answer: CircuitsJson }) {
  const { circuit, copying } = answer;
  const largest = [...answer.pairs, ...answer.lowest].reduce(
    (most, { value }) => Math.max(most, Math.abs(value)),
    0,
  );
  const arrow = circuit === "ov" ? "looks at \u2192 raises" : "at \u2192 looks for";
  return (
    <div data-hs="circuits-result">
      <p class="hs-detail-words">
        {circuit.toUpperCase()}: {arrow}
        {copying !== null && (
          <>
            . Copies <b data-hs="copying">{fixed(copying)}</b> on a scale from {"\u2212"}1 to 1
          </>
        )}
        {answer.note && `. ${answer.note}`}
      </p>
      <div class="hs-pair-tables">
        <Table name="largest" pairs={answer.pairs} largest={largest} />
        {answer.lowest.length > 0 && <Table name="lowest" pairs={answer.lowest} largest={largest} />}
      </div>
    </div>
  );
}

function Table({ name, pairs, largest }: { name: string; pairs: TokenPair[]; largest: number }) {
  return (
    <table class="hs-top-table" data-hs={`pairs-${name}`}>
      <caption class="hs-top-head">{name}</caption>
      <tbody>
        {pairs.map(({ source, target, value }) => (
          <tr key={`${source}\u0000${target}`}>
            <td>
              <Token text={source} /> {"\u2192"} <Token text={target} />
            </td>
            <td class="hs-mini-cell" aria-hidden="true">
              <span class="hs-mini">
                <i
                  class={value < 0 ? "hs-fill-corrupt" : "hs-fill-clean"}
                  style={{ width: `${(Math.abs(value) / (largest || 1)) * 100}%` }}
                />
              </span>
            </td>
            <td class="hs-number">{signed(value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
