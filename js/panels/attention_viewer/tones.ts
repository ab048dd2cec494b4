// Which tokens of a prompt differ from those of the other prompt of the pair.
import type { Tone } from "../../lib/top_tokens";
import type { Attention, SideName } from "./result";

/** The colour of each token of the side; null where the other prompt has the same token there. */
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
