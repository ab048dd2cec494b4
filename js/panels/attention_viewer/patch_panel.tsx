// The effect of patching one head from one run into the other, at each position alone and at all positions at once.
import { useState } from "preact/hooks";
import { Button, NameMenu } from "../../lib/controls";
import { fixed } from "../../lib/format";
import { decodeBytes, decodeFloats } from "../../lib/ndarray";
import { largestOf } from "../../lib/range";
import { Notes } from "../../lib/status";
import { TokenStrip } from "../../lib/token_strip";
import { COMPUTED, NO_COUNTERPART, UNCHANGED } from "../../wire/requests";
import { ActionPanel, type ActionProps, type PatchJson, useAnswer } from "./head_actions";
import { readInfo } from "./scene";

const HINT =
  "Puts what the head computed in one run into the other, at each position alone and at all positions at once.";
const WAYS: Record<string, string> = { denoise: "from clean into corrupt", noise: "from corrupt into clean" };

export function PatchPanel(props: ActionProps) {
  const { model, state, scene, head } = props;
  const answer = useAnswer<PatchJson>(props, "head_patch");
  const { patch = [], patch_reason = null } = readInfo(model).actions ?? {};
  const first = patch.find(({ reason }) => !reason)?.name ?? "z";
  const [activation, setActivation] = useState(answer?.activation ?? first);
  const run = () => state.act("patch", "patch_head", scene.attention.headAt(head), { activation });
  const controls = (
    <>
      <NameMenu
        name="patch-activation"
        label="What is patched"
        choices={patch}
        value={activation}
        onChoose={(name) => setActivation(name)}
      />
      <Button name="run-patch" title={HINT} onClick={run}>
        {answer ? "Patch again" : "Patch"}
      </Button>
    </>
  );
  return (
    <ActionPanel
      {...{ name: "patch", model, controls }}
      reason={patch_reason}
      answer={answer && <Effects answer={answer} />}
      hint={HINT}
    />
  );
}

function Effects({ answer }: { answer: PatchJson }) {
  const effects = decodeFloats(answer.effects);
  const states = decodeBytes(answer.state);
  const why = (position: number) => {
    if (states[position] === UNCHANGED) return "=, both runs are the same here";
    return states[position] === NO_COUNTERPART ? "no counterpart" : "not computed";
  };
  const shown = effects.map((value, i) => (states[i] === COMPUTED ? value : Number.NaN));
  return (
    <div data-hs="patch-result">
      <p class="hs-detail-words">
        {answer.activation} patched {WAYS[answer.direction] ?? answer.direction}:{" "}
        {answer.scale_text.replace(/\.$/, "")}.
        {answer.all !== null && (
          <>
            {" "}
            At all positions at once <b data-hs="patch-all">{fixed(answer.all)}</b>
          </>
        )}
      </p>
      <TokenStrip
        name="patch-effects"
        label="Effect of patching the head at each position"
        tokens={answer.tokens}
        values={shown}
        why={why}
        end={Math.max(1, largestOf(shown))}
        unit="normalized"
      />
      <Notes name="action-warning" notes={answer.warnings} />
    </div>
  );
}
