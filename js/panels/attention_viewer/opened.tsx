// The opened heads, side by side: name, scores, matrix, and the actions on each head.
import { useRef } from "preact/hooks";
import { Button } from "../../lib/controls";
import type { PanelProps } from "../../lib/panel";
import { Absent } from "../../lib/status";
import { useStore } from "../../lib/store";
import { useWidth } from "../../lib/use_width";
import { HeadActions } from "./head_actions";
import { Matrix } from "./matrix";
import type { Cell } from "./pointed";
import { CellReadout } from "./readouts";
import type { SideName } from "./result";
import type { Scene } from "./scene";
import { ON, roleWords, type Score, scoreWords } from "./scores";
import type { AttentionState } from "./state";

interface OpenedProps extends PanelProps<AttentionState> {
  scene: Scene;
  onClose(head: number): void;
  onPin(head: number | null): void;
  onLock(cell: Cell): void;
}

/** Two heads are side by side if both fit with cells large enough to click; below the thumbnails, if these are low. */
const [LARGEST, ENOUGH, LABELS, CELL] = [620, 400, 106, 6];
export const [LEAST, GAP] = [300, 24];

export function OpenedHeads({ total, ...props }: OpenedProps & { total: number }) {
  const { opened, tokens } = props.scene;
  const area = useRef<HTMLDivElement>(null);
  const width = useWidth(area);
  useStore(props.state.heads.revision);
  const least = Math.min(ENOUGH, Math.max(LEAST, LABELS + CELL * tokens.length));
  const two = opened.length > 1 ? 2 * least + GAP : Number.POSITIVE_INFINITY;
  const room = Math.min(LARGEST, two <= width ? Math.floor((width - GAP) / 2) : width);
  return (
    <div
      class="hs-opened"
      ref={area}
      data-hs="opened-heads"
      style={{ flexBasis: `${two <= total ? two : LEAST}px` }}
    >
      {opened.map((head) => (
        <OpenedHead key={head} {...props} head={head} room={room} />
      ))}
    </div>
  );
}

function OpenedHead(props: OpenedProps & { head: number; room: number }) {
  const { model, state, scene, head, room, onClose, onPin, onLock } = props;
  const { attention, side, scores, roles, chosen } = scene;
  const values = state.heads.get(attention, side, head);
  const title = attention.titleOf(head);
  const pinned = chosen === head;
  const role = roleWords(roles, attention.headAt(head));
  return (
    <section class="hs-head-card" data-hs="opened-head" data-head={attention.nameOf(head)} aria-label={title}>
      <div class="hs-card-head">
        <h3 class="hs-title">
          <button
            type="button"
            class="hs-plain hs-pin-button hs-focusable"
            data-hs="pin-head"
            aria-pressed={pinned}
            title={pinned ? "Unpin this head" : "Pin this head: the text shows its attention"}
            onClick={() => onPin(pinned ? null : head)}
          >
            {title}
          </button>
        </h3>
        <Button name="close" label={`Close ${title}`} quiet onClick={() => onClose(head)}>
          {"\u2715"}
        </Button>
      </div>
      {role && (
        <p class="hs-detail-words" data-hs="role">
          <b>{role}</b>
        </p>
      )}
      <Scores scores={scores} head={head} side={side} />
      {values ? (
        <>
          <Matrix scene={scene} head={head} values={values} room={room} onLock={onLock} />
          <CellReadout scene={scene} head={head} values={values} />
        </>
      ) : (
        <Absent name="missing">
          {model.readonly
            ? "The values of this head were not saved: run the cell again to see them."
            : "Loading its values\u2026"}
        </Absent>
      )}
      <HeadActions {...{ model, state, scene, head }} />
    </section>
  );
}

/** The scores on this prompt (in a difference, on the clean prompt); scores on random tokens are shown on demand. */
function Scores({ scores, head, side }: { scores: Score[]; head: number; side: SideName }) {
  const [here, random] = [scoreWords(scores, "prompt", head), scoreWords(scores, "random", head)];
  return (
    <>
      {here && (
        <p class="hs-detail-words" data-hs="scores">
          on {side === "difference" ? "the clean" : "this"} prompt: {here}
        </p>
      )}
      {random && (
        <details class="hs-detail-words" data-hs="random-scores">
          <summary title="Scores where meaning can't help">{ON.random}</summary>
          {random}
        </details>
      )}
    </>
  );
}
