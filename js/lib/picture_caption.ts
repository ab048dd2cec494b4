// What a picture that is away from its notebook has to say: the model, the answers and the prompts.
import { visibleText } from "./tokens";

type Answer = string | readonly string[] | null | undefined;

interface Captioned {
  provenance?: { model?: { name?: string } | null } | null;
  sides: Partial<Record<string, { text: string }>>;
  params: { pair?: { clean_answer?: Answer; corrupt_answer?: Answer } | null };
}

/** The lines under the heading of a picture; `answers` are those of the result if it has its own. */
export function captionOf({ provenance, sides, params }: Captioned, answers?: [Answer, Answer]): string[] {
  const [right, wrong] = answers ?? [params.pair?.clean_answer, params.pair?.corrupt_answer];
  const names = answers ? (["answer", "against"] as const) : (["clean answer", "corrupt answer"] as const);
  const asked = [named(names[0], right), named(names[1], wrong)];
  const first = [provenance?.model?.name, ...asked].filter(Boolean).join(" \u00b7 ");
  const prompts = Object.entries(sides).map(([side, one]) => one?.text && `${side} ${quoted(one.text)}`);
  return [first, ...prompts].filter((line): line is string => Boolean(line));
}

function named(name: string, answer: Answer): string {
  const all = [answer ?? []].flat().filter((one) => one !== "");
  return all.length > 0 ? `${name} ${all.map(quoted).join(" or ")}` : "";
}

export const quoted = (text: string): string => `\u201c${visibleText(text)}\u201d`;
