// What one head carries from one run into the other: patched at each position alone, and at all positions at once.
import { useState } from "preact/hooks";
import { Button, Menu } from "../../lib/controls";
import { fixed } from "../../lib/format";
import { canAsk } from "../../lib/model";
import { decodeBytes, decodeFloats } from "../../lib/ndarray";
import { ALONE, COMPUTED, EQUAL } from "../../lib/schema";
import type { PatchJson } from "./actions";
import { type ActionProps, useAnswer } from "./head_actions";
import { readInfo } from "./scene";
import { TokenStrip } from "./token_strip";

const WAYS: Record<string, string> = { denoise: "from clean into corrupt", noise: "from corrupt into clean" };

export function PatchPanel(props: ActionProps) {
  const { model, state, scene, head } = props;
  const answer = useAnswer<PatchJson>(props, "head_patch");
  const { patch = [], patch_reason = null } = readInfo(model).actions ?? {};
  const first = patch.find(({ reason }) => !reason)?.name ?? "z";
  const [activation, setActivation] = useState(answer?.activation ?? first);
  if (patch_reason && !answer) {
    return (
      <p class="hs-quiet" data-hs="action-reason">
        {patch_reason}
      </p>
    );
  }
  const run = (name: typeof activation) => {
    setActivation(name);
    state.act("patch", "patch_head", scene.attention.headAt(head), { activation: name });
  };
  return (
    <div class="hs-panel" data-hs="panel-patch">
      {canAsk(model) && (
        <div class="hs-controls">
          <Menu
            name="patch-activation"
            label="What is patched"
            choices={patch}
            chosen={patch.findIndex(({ name }) => name === activation)}
            shown={activation}
            onChoose={(index) => setActivation(patch[index]?.name ?? activation)}
          />
          <Button name="run-patch" onClick={() => run(activation)}>
            {answer ? "Patch again" : "Patch"}
          </Button>
        </div>
      )}
      {answer ? (
        <Effects answer={answer} />
      ) : (
        <p class="hs-quiet">
          Puts what the head computed in one run into the other, at each position alone and at all positions
          at once.
        </p>
      )}
    </div>
  );
}

function Effects({ answer }: { answer: PatchJson }) {
  const effects = decodeFloats(answer.effects);
  const states = decodeBytes(answer.state);
  const why = (position: number) => {
    if (states[position] === EQUAL) return "=, both runs are the same here";
    return states[position] === ALONE ? "no counterpart" : "not computed";
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
        end={Math.max(1, ...shown.map((value) => Math.abs(value) || 0))}
        unit="normalized"
      />
      <Warnings warnings={answer.warnings} />
    </div>
  );
}

export function Warnings({ warnings }: { warnings: string[] | undefined }) {
  return (
    <>
      {(warnings ?? []).map((warning) => (
        <p key={warning} class="hs-quiet" data-hs="action-warning">
          {warning}
        </p>
      ))}
    </>
  );
}
