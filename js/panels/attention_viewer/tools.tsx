// Export: the Python code, and the pinned or first opened head as numbers or as a picture.
import { Button, CopyButton } from "../../lib/controls";
import { useTrait, type ViewModel } from "../../lib/model";
import { useStore } from "../../lib/store";
import { saveCsv, savePicture, type Taken, toTable } from "./export";
import type { Scene } from "./scene";
import type { AttentionState } from "./state";

interface ToolsProps {
  model: ViewModel;
  state: AttentionState;
  scene: Scene | null;
  subtitle: string;
}

export function Tools({ model, state, scene, subtitle }: ToolsProps) {
  const code = useTrait<string | null | undefined>(model, "code");
  useStore(state.heads.revision);
  const taken = takenOf(state, scene);
  return (
    <span class="hs-tools">
      {code && (
        <CopyButton name="copy-code" title="Copy the Python code of what is shown" text={() => code}>
          Copy code
        </CopyButton>
      )}
      {taken && <HeadTools taken={taken} subtitle={subtitle} />}
    </span>
  );
}

function HeadTools({ taken, subtitle }: { taken: Taken; subtitle: string }) {
  const title = taken.scene.attention.titleOf(taken.head);
  return (
    <>
      <CopyButton name="copy" title={`Copy ${title} as a table`} text={() => toTable(taken)}>
        Copy
      </CopyButton>
      <Button
        name="csv"
        title={`Save ${title} as comma-separated values`}
        quiet
        onClick={() => saveCsv(taken)}
      >
        CSV
      </Button>
      <Button
        name="png"
        title={`Save ${title} as a picture`}
        quiet
        onClick={() => savePicture(taken, subtitle)}
      >
        PNG
      </Button>
    </>
  );
}

function takenOf(state: AttentionState, scene: Scene | null): Taken | null {
  if (!scene || scene.chief === null) return null;
  const values = state.heads.get(scene.attention, scene.side, scene.chief);
  return values && { scene, head: scene.chief, values };
}
