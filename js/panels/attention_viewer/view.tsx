// The AttentionViewer: the prompt as text, all heads as thumbnails, and the opened heads.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { AfterPaint } from "../../lib/after_paint";
import { Output, useCurrent } from "../../lib/current";
import { Prompt } from "../../lib/field";
import { Head } from "../../lib/head";
import { Legend, legendRoom } from "../../lib/legend";
import { canAsk, type Failure, type Status, select, useTrait } from "../../lib/model";
import { Root } from "../../lib/mount";
import type { PanelProps } from "../../lib/panel";
import { ErrorLine, Notes, Nothing } from "../../lib/status";
import { useStore } from "../../lib/store";
import { useWidth } from "../../lib/use_width";
import { Controls } from "./controls";
import { legendOf } from "./legend";
import { GAP, LEAST, OpenedHeads } from "./opened";
import { type Cell, NOWHERE, placeOf, sameCell, usePointed } from "./pointed";
import { HeadReadout, TextReadout } from "./readouts";
import { readInfo, type Scene, useScene } from "./scene";
import { type AttentionState, MOST_OPENED } from "./state";
import { Text } from "./text";
import { thumbSource } from "./thumb_codes";
import { Thumbs } from "./thumbs";
import { HeadTools } from "./tools";
import { subtitleOf } from "./words";

/** The width of the sorted heads if there is room for opened heads beside them. */
const FLOW = 680;
/** Of many layers, the thumbnails are about as wide as this with their legend. */
const [MANY_LAYERS, COLUMN] = [16, 300];

type ViewProps = PanelProps<AttentionState>;

export function AttentionView({ model, state }: ViewProps) {
  return (
    <Root name="attention-viewer" label="Attention">
      <Whole model={model} state={state} />
    </Root>
  );
}

/** A component inside the root, so that it gets the root's palette. */
function Whole({ model, state }: ViewProps) {
  const pointed = usePointed();
  const scene = useScene(model, state, pointed);
  const { problem } = useStore(state.shown);
  const aside = useStore(state.aside);
  const error = useTrait<Failure | null | undefined>(model, "error") ?? null;
  const status = useTrait<Status | undefined>(model, "status");
  const prompt = useTrait<string | null | undefined>(model, "prompt");
  // If a request about one head fails, its error is shown under that head, and the result stays current.
  const apart = aside?.head && error?.message === aside.problem;
  const failure = problem !== null ? { message: problem } : apart ? null : error;
  const newest = useCurrent(model, state.rpc, scene?.attention.json.id, ["attention_patterns", "show"]);
  const current = newest || Boolean(apart && status === "error");
  const asks = canAsk(model);
  const own = asks && (scene ? scene.side === "prompt" : prompt);
  return (
    <>
      <Title {...{ model, state, scene }} />
      {own && (
        <Prompt
          text={prompt ?? scene?.attention.json.sides.prompt?.text ?? ""}
          onShow={(text) => state.showPrompt(text)}
        />
      )}
      <Controls model={model} state={state} scene={scene} />
      <ErrorLine error={failure} rpc={asks ? state.rpc : null} />
      {scene ? (
        <Output
          name="attention-result"
          current={current}
          words={`the last result, ${scene.attention.json.params.kind} of “${textOf(scene)}”`}
        >
          <Heads model={model} state={state} scene={scene} />
        </Output>
      ) : (
        failure === null && <Nothing model={model} busy={"Reading attention\u2026"} />
      )}
    </>
  );
}

function textOf({ attention, side }: Scene): string {
  return attention.json.sides[side === "difference" ? "clean" : side]?.text ?? "";
}

function Title({ model, state, scene }: ViewProps & { scene: Scene | null }) {
  const { kinds } = readInfo(model);
  const kind = kinds.find(({ name }) => name === scene?.attention.json.params.kind)?.label;
  const words = scene
    ? subtitleOf(scene, kind ?? scene.attention.json.quantity)
    : "what each head attends to";
  return (
    <Head title="Attention" words={words}>
      <HeadTools {...{ model, state, scene }} subtitle={words} />
    </Head>
  );
}

function Heads({ model, state, scene }: ViewProps & { scene: Scene }) {
  const { attention, side, tokens, opened, chief, locked, pointed, scaling } = scene;
  const area = useRef<HTMLDivElement>(null);
  const width = useWidth(area);
  const thumbs = useStore(state.thumbs);
  const revision = useStore(state.heads.revision);
  useEffect(() => pointed.at(NOWHERE), [tokens]);
  useEffect(() => {
    if (model.readonly) return;
    const wanted = chief === null || opened.includes(chief) ? opened : [chief, ...opened];
    state.heads.need(attention, side, wanted);
  }, [attention, side, opened, chief, revision]);
  const source = useMemo(
    () => thumbSource(attention, side, scaling, thumbs),
    [attention, side, scaling, thumbs],
  );
  const flows = scene.score !== null || Boolean(attention.json.names);
  const beside = flows && width >= FLOW + GAP + LEAST;
  // Many layers make a column of thumbnails that is narrow, and so tall that heads below it would be out of sight.
  const tall = !flows && attention.json.layers.length >= MANY_LAYERS;
  const values = chief === null ? null : state.heads.get(attention, side, chief);
  const change = (cell: Partial<Cell>) => select(model, placeOf(attention, side, { ...locked, ...cell }));
  const toggle = (head: number) => state.toggle(attention.headAt(head));
  const pin = (head: number | null) => change({ head, ...(head === null ? {} : { source: null }) });
  const lockCell = (cell: Cell) => {
    change(sameCell(locked, cell) ? { ...NOWHERE, head: cell.head } : cell);
  };
  return (
    <>
      <Text scene={scene} values={values} onLock={(position) => change({ position, source: null })} />
      <TextReadout scene={scene} values={values} />
      <Notes notes={attention.json.warnings} />
      <div class="hs-heads" ref={area}>
        <div class="hs-all-heads">
          <AfterPaint>
            <div class="hs-grid-area">
              {source && (
                <Thumbs
                  {...{ scene, source }}
                  room={(beside ? FLOW : width) - legendRoom(width)}
                  onToggle={toggle}
                  onPin={pin}
                />
              )}
              <Legend {...legendOf(scene)} height={120} />
            </div>
          </AfterPaint>
          {source && <HeadReadout scene={scene} />}
          <PutAway state={state} scene={scene} />
        </div>
        {opened.length > 0 && (
          <AfterPaint>
            <OpenedHeads
              {...{ model, state, scene }}
              total={beside ? width - FLOW - GAP : tall ? width - COLUMN - GAP : width}
              onClose={toggle}
              onPin={pin}
              onLock={lockCell}
            />
          </AfterPaint>
        )}
      </div>
    </>
  );
}

/** Says which head was closed because too many were open. */
function PutAway({ state, scene }: { state: AttentionState; scene: Scene }) {
  const head = useStore(state.putAway);
  const index = head ? scene.attention.indexOf(...head) : -1;
  return (
    <p class="hs-quiet" role="status" data-hs="put-away">
      {index >= 0 &&
        `${scene.attention.titleOf(index)} was closed: at most ${MOST_OPENED} heads can be open.`}
    </p>
  );
}
