// Describes the cell under the pointer in lines that keep their place. Only these are rendered again as the mouse moves.
import type { ComponentChildren } from "preact";
import { Token } from "../../lib/tokens";
import { useCell } from "./pointed";
import type { Scene } from "./scene";
import { ON, roleWords, scoreWords } from "./scores";
import { type Entry, strongest } from "./strongest";
import { short, valueWords } from "./words";

const MOST = 4;
const SHORT = { prompt: "this prompt", random: "random" };

function At({ tokens, position }: { tokens: readonly string[]; position: number }) {
  return (
    <span class="hs-at">
      <Token text={tokens[position] ?? ""} /> ({position})
    </span>
  );
}

function Entries({ entries, tokens }: { entries: Entry[]; tokens: readonly string[] }) {
  if (entries.length === 0) return <>nothing</>;
  return (
    <>
      {entries.map(({ position, value }, i) => (
        <span key={`${i}`}>
          {i > 0 && " \u00b7 "}
          <At tokens={tokens} position={position} /> <b>{short(value)}</b>
        </span>
      ))}
    </>
  );
}

function Lines({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="hs-lines hs-detail-words" data-hs={name}>
      {children}
    </div>
  );
}

/** Under the text: what the token attends to, and what attends to it. */
export function TextReadout({ scene, values }: { scene: Scene; values: Float32Array | null }) {
  const { attention, tokens, locked, chief, pointed } = scene;
  const position = useCell(pointed.text, (place) => place.position) ?? locked.position;
  if (chief === null) {
    return (
      <Lines name="text-said">
        <p class="hs-cut">Open a head to see what each token attends to.</p>
      </Lines>
    );
  }
  const title = attention.titleOf(chief);
  if (position === null || !values) {
    return (
      <Lines name="text-said">
        <p class="hs-cut">
          {values
            ? `${title}: hover over a token. Background: what it attends to; underline: what attends to it. Click to lock it.`
            : `${title}: loading its values\u2026`}
        </p>
      </Lines>
    );
  }
  const of = (what: "sources" | "positions") => strongest(values, tokens.length, position, what, MOST);
  return (
    <Lines name="text-said">
      <p class="hs-cut">
        {title}: <At tokens={tokens} position={position} /> attends to{" "}
        <Entries entries={of("sources")} tokens={tokens} />
      </p>
      <p class="hs-cut">
        and is attended to by <Entries entries={of("positions")} tokens={tokens} />
      </p>
    </Lines>
  );
}

/** Under the pictures of all heads. */
export function HeadReadout({ scene }: { scene: Scene }) {
  const { attention, scores, roles, pointed, chosen } = scene;
  const head = useCell(pointed.numbers, (place) => place.head) ?? chosen;
  if (head === null || head >= attention.count) {
    return (
      <Lines name="head-said">
        <p>Click a head to open it, Shift-click to pin it.</p>
      </Lines>
    );
  }
  const role = roleWords(roles, attention.headAt(head));
  const shared = attention.json.key_value_heads?.[head % attention.heads];
  return (
    <Lines name="head-said">
      <p>
        <b>{attention.titleOf(head)}</b>
        {role && `, ${role}`}
        {shared !== undefined && `, uses key-value head ${shared}`}
      </p>
      {(["prompt", "random"] as const).map((on) => {
        const words = scoreWords(scores, on, head);
        return words && <p title={`${ON[on]}: ${words}`}>{`${SHORT[on]}: ${words}`}</p>;
      })}
    </Lines>
  );
}

/** Under an opened head: the cell under the pointer, or what the token in the text attends to most. */
export function CellReadout({ scene, head, values }: { scene: Scene; head: number; values: Float32Array }) {
  const { tokens, side, pointed, locked } = scene;
  const place = useCell(pointed.numbers, (place) => place);
  const own = locked.head === head || locked.head === null;
  const at = place.position !== null ? place : own ? locked : { ...locked, source: null };
  const { position } = at;
  if (position === null) {
    return (
      <Lines name="cell-said">
        <p>Hover over a cell to read it, click to lock it.</p>
      </Lines>
    );
  }
  const elsewhere = at === place && place.head !== null && place.head !== head;
  const source = elsewhere ? null : at.source;
  const found = source === null ? strongest(values, tokens.length, position, "sources", 1)[0] : undefined;
  const shown = source ?? found?.position;
  return (
    <Lines name="cell-said">
      <p>
        <At tokens={tokens} position={position} /> attends {source === null ? "most to" : "to"}{" "}
        {shown === undefined ? (
          "nothing"
        ) : (
          <>
            <At tokens={tokens} position={shown} />:{" "}
            <b>{valueWords(values[position * tokens.length + shown], side)}</b>
          </>
        )}
      </p>
    </Lines>
  );
}
