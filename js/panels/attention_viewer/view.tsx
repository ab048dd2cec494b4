// The AttentionViewer: the prompt as text, all heads as small pictures, and those that are opened.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { Legend, legendRoom } from "../../lib/legend";
import { type Failure, type Status, useTrait, type ViewModel } from "../../lib/model";
import { Root } from "../../lib/mount";
import { Prompt, Shorter } from "../../lib/prompt";
import { ErrorLine } from "../../lib/status";
import { useStore } from "../../lib/store";
import { useWidth } from "../../lib/use_width";
import { Controls } from "./controls";
import { legendOf } from "./legend";
import { GAP, LEAST, OpenedHeads } from "./opened";
import { lock, NOWHERE, type Place, samePlace, usePointed } from "./pointed";
import { HeadReadout, TextReadout } from "./readouts";
import { readInfo, type Scene, useScene } from "./scene";
import { type AttentionState, MOST_OPENED } from "./state";
import { Text } from "./text";
import { thumbSource } from "./thumb_codes";
import { Thumbs } from "./thumbs";
import { Tools } from "./tools";
import { subtitleOf } from "./words";

/** The width of sorted heads, where there is room for opened ones beside them. */
const FLOW = 680;

interface ViewProps {
  model: ViewModel;
  state: AttentionState;
}

export function AttentionView({ model, state }: ViewProps) {
  return (
    <Root name="attention-viewer" label="Attention">
      <Whole model={model} state={state} />
    </Root>
  );
}

/** Inside the root, so that it has the root's colours. */
function Whole({ model, state }: ViewProps) {
  const pointed = usePointed();
  const scene = useScene(model, state, pointed);
  const { problem } = useStore(state.shown);
  const asked = useStore(state.asked);
  const error = useTrait<Failure | null | undefined>(model, "error") ?? null;
  const status = useTrait<Status | undefined>(model, "status");
  const prompt = useTrait<string | null | undefined>(model, "prompt");
  const failure = problem === null ? error : { field: null, message: problem };
  // What one head could not be asked is said under that head.
  const shown = failure && failure.message === asked?.problem && asked.head ? null : failure;
  // What was asked for did not come.
  const stale = status === "cancelled" || (status === "error" && shown !== null);
  const own = readInfo(model).model && !model.readonly && (scene ? scene.side === "prompt" : prompt);
  return (
    <>
      <Head {...{ model, state, scene }} />
      {own && (
        <Prompt
          text={prompt ?? scene?.attention.json.sides.prompt?.text ?? ""}
          onShow={(text) => state.showPrompt(text)}
        />
      )}
      <Controls model={model} state={state} scene={scene} />
      <ErrorLine error={shown} />
      {stale && !model.readonly && (
        <Shorter message={error?.message ?? ""} onRead={(last) => state.run({ last })} />
      )}
      {stale && scene && (
        <p class="hs-quiet" data-hs="faded">
          Faded: the last result, of “{textOf(scene)}”.
        </p>
      )}
      {scene ? (
        <div class={stale ? "hs-stale" : ""} data-hs="attention-result" data-stale={stale}>
          <Shown model={model} state={state} scene={scene} />
        </div>
      ) : (
        failure === null && <Nothing status={status} />
      )}
    </>
  );
}

function textOf({ attention, side }: Scene): string {
  return attention.json.sides[side === "difference" ? "clean" : side]?.text ?? "";
}

function Nothing({ status }: { status: Status | undefined }) {
  const busy = status === "queued" || status === "running";
  return (
    <p class="hs-nothing" data-hs="nothing">
      {busy ? "Reading attention\u2026" : "Not run yet."}
    </p>
  );
}

function Head({ model, state, scene }: ViewProps & { scene: Scene | null }) {
  const { kinds } = readInfo(model);
  const words = () => {
    if (!scene) return "what each head looks at";
    const { attention, side, scaling } = scene;
    const kind = kinds.find(({ name }) => name === attention.json.params.kind)?.label;
    return subtitleOf(attention, kind ?? attention.json.quantity, side, scaling);
  };
  return (
    <div class="hs-head">
      <h2 class="hs-title">
        Attention <small data-hs="subtitle">{words()}</small>
      </h2>
      <Tools {...{ model, state, scene }} subtitle={words()} />
    </div>
  );
}

function Shown({ model, state, scene }: ViewProps & { scene: Scene }) {
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
  const values = chief === null ? null : state.heads.get(attention, side, chief);
  const change = (place: Partial<Place>) => lock(model, attention, { ...locked, ...place });
  const toggle = (head: number) => state.toggle(attention.headAt(head));
  const pin = (head: number | null) => change({ head, ...(head === null ? {} : { source: null }) });
  const lockCell = (place: Place) => {
    change(samePlace(locked, place) ? { ...NOWHERE, head: place.head } : place);
  };
  return (
    <>
      <Text scene={scene} values={values} onLock={(destination) => change({ destination, source: null })} />
      <TextReadout scene={scene} values={values} />
      {(attention.json.warnings ?? []).map((warning) => (
        <p key={warning} class="hs-quiet" data-hs="warning">
          {warning}
        </p>
      ))}
      <div class="hs-heads" ref={area}>
        <div class="hs-all-heads">
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
          {source && <HeadReadout scene={scene} />}
          <PutAway state={state} scene={scene} />
        </div>
        {opened.length > 0 && (
          <OpenedHeads
            {...{ model, state, scene }}
            total={beside ? width - FLOW - GAP : width}
            onClose={toggle}
            onPin={pin}
            onLock={lockCell}
          />
        )}
      </div>
    </>
  );
}

/** One more was opened than can be. */
function PutAway({ state, scene }: { state: AttentionState; scene: Scene }) {
  const head = useStore(state.putAway);
  const index = head ? scene.attention.indexOf(...head) : -1;
  return (
    <p class="hs-quiet" role="status" data-hs="put-away">
      {index >= 0 && `${scene.attention.titleOf(index)} was closed: ${MOST_OPENED} can be open.`}
    </p>
  );
}
