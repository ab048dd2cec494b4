// Export: the Python code, and the pinned or first opened head as numbers or as a picture.
import { saveCsv } from "../../lib/clipboard";
import { Tools } from "../../lib/head";
import { useTrait, type ViewModel } from "../../lib/model";
import { useStore } from "../../lib/store";
import { toCsv, toTsv } from "../../lib/table";
import { fileName, savePicture, type Taken, toRows } from "./export";
import type { Scene } from "./scene";
import type { AttentionState } from "./state";

interface HeadToolsProps {
  model: ViewModel;
  state: AttentionState;
  scene: Scene | null;
  subtitle: string;
}

export function HeadTools({ model, state, scene, subtitle }: HeadToolsProps) {
  const code = useTrait<string | null | undefined>(model, "code");
  useStore(state.heads.revision);
  const taken = takenOf(state, scene);
  if (!taken) return <Tools code={code} />;
  return (
    <Tools
      what={taken.scene.attention.titleOf(taken.head)}
      code={code}
      table={() => toTsv(toRows(taken))}
      csv={() => saveCsv(toCsv(toRows(taken)), fileName(taken))}
      picture={() => savePicture(taken, subtitle)}
    />
  );
}

function takenOf(state: AttentionState, scene: Scene | null): Taken | null {
  if (!scene || scene.chief === null) return null;
  const values = state.heads.get(scene.attention, scene.side, scene.chief);
  return values && { scene, head: scene.chief, values };
}
