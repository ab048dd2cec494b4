// The menu for which prompt of a pair is shown, or their difference.
import { NameMenu } from "./controls";
import { type ViewModel, write } from "./model";

export type ShownSide = "prompt" | "clean" | "corrupt" | "difference";

const SIDES = [
  { name: "clean", label: "clean", help: "the clean prompt" },
  { name: "corrupt", label: "corrupt", help: "the corrupt prompt" },
  { name: "difference", label: "clean \u2212 corrupt", help: "the difference of the two" },
] as const;

/** A single prompt needs no menu. */
export function SideMenu({ model, side }: { model: ViewModel; side: ShownSide }) {
  if (side === "prompt") return null;
  return (
    <NameMenu
      name="side"
      label="Side"
      choices={SIDES}
      value={side}
      onChoose={(name) => write(model, "side", name)}
    />
  );
}
