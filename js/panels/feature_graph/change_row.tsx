// One change: by how much, by a slider or a field, and at which tokens.
import { useEffect, useRef, useState } from "preact/hooks";
import { Button, NameMenu } from "../../lib/controls";
import { SmallField } from "../../lib/fields";
import { Token } from "../../lib/tokens";
import { amountWords, type Change, positionWords, readAmount } from "./change_list";

interface RowProps {
  change: Change;
  label: string;
  /** The prompt's. */
  tokens: readonly string[];
  /** Where the changed nodes are. */
  home: readonly number[];
  onChange(change: Change): void;
  onRemove(): void;
}

const LARGEST_FACTOR = 3;

export function ChangeRow({ change, label, tokens, home, onChange, onRemove }: RowProps) {
  const { node, scale, positions = "here" } = change;
  const [dragged, setDragged] = useState<number | null>(null);
  const row = useRef<HTMLDivElement>(null);
  useEffect(() => setDragged(null), [scale]);
  const factor = dragged ?? scale;
  const amount = amountWords(dragged === null ? change : { node, scale: dragged });
  return (
    <>
      <div class="hs-controls hs-slider" ref={row}>
        <span class="hs-small hs-token">{label}</span>
        {typeof factor === "number" && (
          <input
            type="range"
            data-hs="factor"
            min={-LARGEST_FACTOR}
            max={LARGEST_FACTOR}
            step={0.1}
            value={factor}
            aria-label={`Factor of ${label}`}
            aria-valuetext={amount}
            title="By how much its activation is multiplied; 0 switches it off"
            onInput={({ currentTarget }) => setDragged(Number(currentTarget.value))}
            onChange={({ currentTarget }) => onChange({ node, scale: Number(currentTarget.value) })}
          />
        )}
        <SmallField
          name="amount"
          label=""
          help={`×0 switches it off, ×2 doubles it, =3 sets it to 3`}
          value={amount}
          size={6}
          take={(text) => {
            const read = readAmount(text);
            if (!read) return "Write a factor, such as ×0 or ×-1.5, or a value, such as =3.";
            onChange({ node, ...read });
            return null;
          }}
        />
        <NameMenu
          name="where"
          label={`Where ${label} is changed`}
          choices={WHERE.map((one) =>
            one.name === "some" && typeof positions === "object"
              ? { ...one, label: positionWords(positions) }
              : one,
          )}
          value={typeof positions === "object" ? "some" : positions}
          onChoose={(name) => onChange({ node, positions: name === "some" ? [...home] : name })}
        />
        <Button name="remove-change" quiet label={`Leave ${label} as it is`} onClick={onRemove}>
          {"\u00d7"}
        </Button>
      </div>
      {typeof positions === "object" && (
        <Tokens
          label={label}
          tokens={tokens}
          chosen={positions}
          onChoose={(some) => {
            if (some.length === 0) row.current?.querySelector("select")?.focus(); // the tokens go away
            onChange({ node, positions: some.length > 0 ? some : "here" });
          }}
        />
      )}
    </>
  );
}

const WHERE = [
  { name: "here", label: "here", help: "at the tokens where it is in the graph" },
  { name: "all", label: "everywhere", help: "at every token, also at those that are generated" },
  { name: "some", label: "at tokens\u2026", help: "at tokens that you choose" },
] as const;

interface TokensProps {
  label: string;
  tokens: readonly string[];
  chosen: readonly number[];
  onChoose(positions: number[]): void;
}

function Tokens({ label, tokens, chosen, onChoose }: TokensProps) {
  const toggled = (position: number) =>
    chosen.includes(position) ? chosen.filter((one) => one !== position) : [...chosen, position];
  return (
    <div
      class="hs-fg-members"
      role="group"
      aria-label={`Tokens where ${label} is changed`}
      data-hs="where-tokens"
    >
      {tokens.map((token, position) => (
        <button
          key={`${position}`}
          type="button"
          class="hs-plain hs-focusable hs-fg-member"
          aria-pressed={chosen.includes(position)}
          title={`position ${position}`}
          onClick={() => onChoose(toggled(position).sort((a, b) => a - b))}
        >
          <Token text={token} />
        </button>
      ))}
    </div>
  );
}
