// Turns aligning by hand on and off, and says how it is done.
import { Button } from "../../lib/controls";
import { visibleText } from "../../lib/tokens";
import type { Aligning } from "./aligning";
import { otherRun } from "./alignment";
import type { Run, Tokens } from "./types";

export function AlignBar({ aligning, tokens }: { aligning: Aligning; tokens: Pick<Tokens, Run> }) {
  const { on, chosen, byHand, editable } = aligning;
  if (!editable || tokens.clean.ids.length === 0 || tokens.corrupt.ids.length === 0) return null;
  return (
    <div class="hs-align hs-small" role="group" aria-label="Alignment" data-hs="align-bar">
      <Button
        name="align"
        title={on ? "Stop aligning" : "Say which token corresponds to which"}
        quiet
        onClick={() => aligning.turn(!on)}
      >
        {on ? "Done" : "Align tokens"}
      </Button>
      {byHand && (
        <Button
          name="align-automatic"
          title="Forget the links made by hand"
          quiet
          onClick={aligning.automatic}
        >
          Automatic
        </Button>
      )}
      <span role="status" class="hs-align-help" data-hs="align-help">
        {on &&
          (chosen
            ? `Now the ${otherRun(chosen.run)} token that corresponds to ${visibleText(tokens[chosen.run].tokens[chosen.index] ?? "")}; Delete unlinks it`
            : "Drag or choose two tokens to link them, click a link to remove it")}
      </span>
    </div>
  );
}
