// The card of the pinned place: what patching, zeroing and averaging it does.
import { fixed, metricValue } from "../lib/format";
import { useSelection, useTrait, type ViewModel } from "../lib/model";
import type { Place } from "../lib/place";
import { Token } from "../lib/tokens";

interface Effect {
  /** In units of the gap between the two prompts. */
  effect: number | null;
  value: number | null;
  /** The likeliest next token. */
  token: string | null;
}

interface Card {
  place: Place;
  activation: string;
  /** Whether one position is changed, or all. */
  positions: boolean;
  patched?: Effect | null;
  zeroed?: Effect | null;
  averaged?: Effect | null;
}

const CHANGES = [
  {
    name: "patched",
    label: "patched",
    help: "In the corrupt run, with the clean run's activation: 1 restores the answer",
  },
  {
    name: "zeroed",
    label: "zeroed",
    help: "In the clean run, set to zero: \u22121 loses the answer to the corrupt one",
  },
  { name: "averaged", label: "averaged", help: "In the clean run, set to its mean over the two prompts" },
] as const;

export function PlaceCard({ model }: { model: ViewModel }) {
  const pinned = useSelection(model);
  const card = useTrait<Card | null | undefined>(model, "card");
  return (
    <p class="hs-card hs-small" data-hs="card" role="status">
      {pinned === null ? (
        "Nothing pinned: click a cell, a head or a token in any view."
      ) : (
        <>
          <b>{placeWords(pinned)}</b>
          {card && (
            <span class="hs-muted">{` ${card.activation}${card.positions ? "" : ", all positions"}`}</span>
          )}
          {card && CHANGES.every(({ name }) => isAbsent(card[name])) && (
            <span class="hs-muted">the other prompt has no such place</span>
          )}
          {CHANGES.map(({ name, label, help }) => (
            <OneEffect key={name} label={label} help={help} effect={card?.[name]} />
          ))}
        </>
      )}
    </p>
  );
}

const isAbsent = (effect: Effect | null | undefined) =>
  effect === null || (effect?.effect === null && effect.value === null);

interface OneEffectProps {
  label: string;
  help: string;
  effect: Effect | null | undefined;
}

function OneEffect({ label, help, effect }: OneEffectProps) {
  if (!effect || isAbsent(effect)) return null;
  return (
    <span class="hs-effect" title={help}>
      {`${label} `}
      <b>{fixed(effect.effect)}</b>
      {` (${metricValue("logit_diff", effect.value)})`}
      {effect.token !== null && (
        <>
          {" \u2192 "}
          <Token text={effect.token} />
        </>
      )}
    </span>
  );
}

/** "layer 2, head 1, position 5". */
function placeWords({ layer, head, neuron, position, source }: Place): string {
  const parts = { layer, head, neuron, position, source };
  const said = Object.entries(parts).filter(([, part]) => part !== undefined);
  return said.map(([name, part]) => `${name} ${part}`).join(", ") || "a place without a layer";
}
