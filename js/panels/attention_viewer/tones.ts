// Which tokens of a pair differ from the other prompt's.
import type { Tone } from "../../lib/top_tokens";
import type { Attention, SideName } from "./result";

/** For each token of the side its colour; null where the other prompt has the same one there. */
export function tokenTones({ json }: Attention, side: SideName): (Tone | null)[] {
  const { clean, corrupt } = json.sides;
  if (!clean || !corrupt) return [];
  const tone: Tone = side === "corrupt" ? "corrupt" : "clean";
  const [own, other] = tone === "clean" ? [clean, corrupt] : [corrupt, clean];
  const partners = clean.tokens.map((_, i) => (json.counterparts ? (json.counterparts[i] ?? null) : i));
  return own.tokens.map((text, i) => {
    const partner = tone === "clean" ? partners[i] : partners.indexOf(i);
    return text === other.tokens[partner ?? -1] ? null : tone;
  });
}
