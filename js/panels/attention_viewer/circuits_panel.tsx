// The pairs of tokens with the largest entries in a head's circuits: what it writes when it attends to a token (OV), and
// which tokens it attends to (QK).
import { useState } from "preact/hooks";
import { Button, NameMenu } from "../../lib/controls";
import { fixed, signed } from "../../lib/format";
import { largestOf } from "../../lib/range";
import { Token } from "../../lib/tokens";
import { MiniBar } from "../../lib/top_tokens";
import { ActionPanel, type ActionProps, type CircuitsJson, type TokenPair, useAnswer } from "./head_actions";
import { readInfo } from "./scene";

const CIRCUITS = [
  { name: "ov", label: "OV", help: "which token the head makes likelier when it attends to a token" },
  { name: "qk", label: "QK", help: "which token the head attends to from a token" },
] as const;
const SETS = [
  { name: "prompt", label: "tokens of the prompt", help: "pairs that begin with a token of the prompt" },
  { name: "all", label: "all tokens", help: "pairs of the whole vocabulary" },
] as const;

const HINT = `${CIRCUITS.map(({ label, help }) => `${label}: ${help}`).join("; ")}. Both are computed from the weights alone.`;

export function CircuitsPanel(props: ActionProps) {
  const { model, state, scene, head } = props;
  const answer = useAnswer<CircuitsJson>(props, "head_circuits");
  const reason = readInfo(model).actions?.circuits_reason ?? null;
  const [circuit, setCircuit] = useState<CircuitsJson["circuit"]>(answer?.circuit ?? "ov");
  const [tokens, setTokens] = useState<CircuitsJson["tokens"]>(answer?.tokens ?? "prompt");
  const run = () => state.act("circuits", "head_circuits", scene.attention.headAt(head), { circuit, tokens });
  const controls = (
    <>
      <NameMenu
        name="circuit"
        label="Circuit"
        choices={CIRCUITS}
        value={circuit}
        onChoose={(name) => setCircuit(name)}
      />
      <NameMenu
        name="circuit-tokens"
        label="Tokens"
        choices={SETS}
        value={tokens}
        onChoose={(name) => setTokens(name)}
      />
      <Button name="run-circuits" title={HINT} onClick={run}>
        Read the weights
      </Button>
    </>
  );
  return (
    <ActionPanel
      {...{ name: "circuits", model, reason, controls }}
      answer={answer && <Pairs answer={answer} />}
      hint={HINT}
    />
  );
}

function Pairs({ answer }: { answer: CircuitsJson }) {
  const { circuit, copying } = answer;
  const largest = largestOf([...answer.pairs, ...answer.lowest].map(({ value }) => value));
  const arrow = circuit === "ov" ? "attends to \u2192 raises" : "from \u2192 attends to";
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
      <caption class="hs-top-head hs-small">{name}</caption>
      <tbody>
        {pairs.map(({ source, target, value }) => (
          <tr key={`${source}\u0000${target}`}>
            <td>
              <Token text={source} /> {"\u2192"} <Token text={target} />
            </td>
            <MiniBar share={Math.abs(value) / (largest || 1)} tone={value < 0 ? "corrupt" : "clean"} />
            <td class="hs-number">{signed(value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
