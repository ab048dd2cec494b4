// The nodes of the picture, as buttons. Hundreds of them are not drawn anew while the pointer moves: what dims them is
// set on the elements.
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { keyHandler } from "../../lib/keys";
import { INPUT } from "./graph";
import { groupOf } from "./groups";
import { type Box, type Layout, NODE_HEIGHT, nodeBeyond } from "./layout";
import type { PictureProps } from "./picture";
import { longName, shortName } from "./words";

interface NodesProps extends Pick<PictureProps, "pinned" | "marked" | "chosen" | "action"> {
  /** What handlers call, so that they stay the same. */
  latest: { readonly current: PictureProps };
  layout: Layout;
  /** Whether Shift and a click toggle a node. */
  choosable: boolean;
  /** Null if nothing stands out. */
  lit: ReadonlySet<string> | null;
  reveal(box: Box): void;
}

const px = (n: number): string => `${n}px`;
const nameOf = (event: Event): string => (event.currentTarget as HTMLElement).dataset.node ?? "";

export function Nodes(props: NodesProps) {
  const { layout, pinned, marked, chosen, action, choosable, lit } = props;
  const own = useRef(props);
  own.current = props;
  const [tabbed, setTabbed] = useState<string | null>(null);
  // In the order of the model, in which Python sends nodes; groups are last.
  const names = useMemo(() => [...layout.boxes.keys()], [layout]);
  const first = [tabbed, pinned, names.at(-1)].find((name) => name && layout.boxes.has(name));
  const handlers = useMemo(() => handlersOf(own, setTabbed), []);
  const ground = useRef<HTMLSpanElement>(null);
  const buttons = useMemo(
    () =>
      names.map((name) => (
        <button
          key={name}
          type="button"
          class="hs-plain hs-focusable hs-node"
          data-node={name}
          data-marked={marked?.has(name)}
          data-chosen={chosen?.has(name)}
          data-group={groupOf(name) !== null}
          aria-pressed={name === pinned}
          aria-label={spokenName(name, layout, chosen)}
          title={titleOf(name, layout, action, choosable)}
          tabIndex={name === first ? 0 : -1}
          style={placeOf(layout.boxes.get(name) as Box)}
          {...handlers}
        >
          {groupOf(name) === null ? shortName(name) : <GroupName box={layout.boxes.get(name) as Box} />}
        </button>
      )),
    [names, layout, pinned, marked, chosen, action, choosable, first],
  );
  useLayoutEffect(() => {
    for (const button of ground.current?.children ?? []) dim(button as HTMLElement, lit);
  }, [buttons, lit]);
  return (
    <span class="hs-nodes" ref={ground}>
      {buttons}
    </span>
  );
}

function dim({ dataset }: HTMLElement, lit: ReadonlySet<string> | null): void {
  const dimmed = String(lit !== null && !lit.has(dataset.node ?? ""));
  if (dataset.dim !== dimmed) dataset.dim = dimmed;
}

function GroupName({ box }: { box: Box }) {
  return (
    <>
      <span class="hs-cut">{groupOf(box.name)}</span> <small>{box.count}</small>
    </>
  );
}

function placeOf({ x, y, width }: Box) {
  return { left: px(x - width / 2), top: px(y - NODE_HEIGHT / 2), width: px(width), height: px(NODE_HEIGHT) };
}

function spokenName(name: string, { boxes }: Layout, chosen: ReadonlySet<string> | undefined): string {
  const count = boxes.get(name)?.count;
  const words = name === INPUT ? `embed, ${longName(name)}` : longName(name);
  return [words, count && `${count} nodes`, chosen?.has(name) && "in the set"].filter(Boolean).join(", ");
}

function titleOf(name: string, { boxes }: Layout, action: string, choosable: boolean): string {
  const count = boxes.get(name)?.count;
  if (count !== undefined) return `${longName(name)}, ${count} nodes. Click to open it`;
  const choose = choosable ? ". Shift and click, or Shift+Enter, to put it into the set or take it out" : "";
  return `${longName(name)}. ${action}${choose}`;
}

function handlersOf(own: { current: NodesProps }, setTabbed: (name: string) => void) {
  const props = () => own.current.latest.current;
  const choose = (name: string, toggles: boolean) => {
    const group = groupOf(name);
    if (group !== null) props().onOpenGroup?.(group);
    else if (toggles && own.current.choosable) props().onToggle?.(name);
    else props().onChoose(name);
  };
  return {
    onPointerEnter: (event: PointerEvent) => props().onHover({ node: nameOf(event) }),
    onFocus(event: FocusEvent) {
      setTabbed(nameOf(event));
      const box = own.current.layout.boxes.get(nameOf(event));
      if (box) own.current.reveal(box);
    },
    onClick: (event: MouseEvent) => choose(nameOf(event), event.shiftKey),
    onKeyDown: keyHandler((event) => {
      const { key, shiftKey, currentTarget } = event;
      const name = nameOf(event);
      if (key === "Escape") props().onChoose(null);
      // Not every browser tells with the click of a key whether Shift is held.
      if (key === "Enter" && shiftKey) choose(name, true);
      const next = nodeBeyond(own.current.layout, name, key);
      if (next) {
        setTabbed(next);
        (currentTarget as Element).parentElement
          ?.querySelector<HTMLElement>(`[data-node="${CSS.escape(next)}"]`)
          ?.focus();
      }
      return next !== null || key === "Escape" || (key === "Enter" && shiftKey);
    }),
  };
}
