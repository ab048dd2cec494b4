// Exports the Python code, and the pinned or last opened head as numbers or as a picture.
import { saveCsv, savePng } from "../../lib/clipboard";
import { sizeCanvas } from "../../lib/grid_paint";
import { DENSITY, paintFrame, paintLegend } from "../../lib/grid_picture";
import { Tools } from "../../lib/head";
import { useTrait } from "../../lib/model";
import type { PanelProps } from "../../lib/panel";
import { captionOf } from "../../lib/picture_caption";
import { useStore } from "../../lib/store";
import { numberCell, plainCell, toCsv, toTsv } from "../../lib/table";
import { visibleText } from "../../lib/tokens";
import { legendOf } from "./legend";
import { layoutMatrix } from "./matrix_layout";
import { paintMatrix } from "./matrix_paint";
import type { Scene } from "./scene";
import type { AttentionState } from "./state";

interface HeadToolsProps extends PanelProps<AttentionState> {
  scene: Scene | null;
  subtitle: string;
}

export function HeadTools({ model, state, scene, subtitle }: HeadToolsProps) {
  const code = useTrait<string | null | undefined>(model, "code");
  useStore(state.heads.revision);
  const taken = takenOf(state, scene);
  if (!taken) return <Tools code={code} held={scene?.attention.json} kernel={{ model, state }} />;
  return (
    <Tools
      what={taken.scene.attention.titleOf(taken.head)}
      code={code}
      table={() => toTsv(toRows(taken))}
      csv={() => saveCsv(toCsv(toRows(taken)), fileName(taken))}
      picture={() => savePicture(taken, subtitle)}
      held={taken.scene.attention.json}
      kernel={{ model, state }}
    />
  );
}

function takenOf(state: AttentionState, scene: Scene | null): Taken | null {
  if (!scene || scene.chief === null) return null;
  const values = state.heads.get(scene.attention, scene.side, scene.chief);
  return values && { scene, head: scene.chief, values };
}

interface Taken {
  scene: Scene;
  head: number;
  values: Float32Array;
}

/** Rows attend to columns; masked cells and cells without a number are empty. */
function toRows({ scene, values }: Taken): string[][] {
  const { tokens } = scene;
  const names = tokens.map((token) => plainCell(visibleText(token)));
  const n = tokens.length;
  // Nine digits are enough for a float32.
  const cell = (value: number) => numberCell(value, 9);
  const line = (row: number) => Array.from(values.subarray(row * n, (row + 1) * n), cell);
  return [["", ...names], ...names.map((name, row) => [name, ...line(row)])];
}

function savePicture(taken: Taken, subtitle: string): void {
  const canvas = document.createElement("canvas");
  paintPicture(canvas, taken, subtitle);
  savePng(canvas, fileName(taken));
}

const ROOM = 760;

function paintPicture(canvas: HTMLCanvasElement, { scene, head, values }: Taken, subtitle: string): void {
  const { attention, tokens, palette } = scene;
  const labelled = attention.json.axis_labels !== false;
  const layout = layoutMatrix(tokens, ROOM, palette.mono, { labelled, density: DENSITY });
  const body = document.createElement("canvas");
  const inner = sizeCanvas(body, layout.width, layout.height, DENSITY);
  const caption = captionOf(attention.json);
  const frame = { title: attention.titleOf(head), subtitle, caption, legend: legendOf(scene), palette };
  const context = paintFrame(canvas, frame, layout);
  if (!context || !inner) return;
  paintMatrix(inner, { ...scene, layout, values, labelled }, body.width / layout.width);
  context.drawImage(body, 0, 0, layout.width, layout.height);
  context.translate(layout.width + 16, 0);
  paintLegend(context, frame, layout.side);
}

function fileName({ scene, head }: Taken): string {
  const { attention, side } = scene;
  const name = attention.nameOf(head).replace(/[^\w.]+/g, "-");
  return `attention-${name}${side === "prompt" ? "" : `-${side}`}`;
}
