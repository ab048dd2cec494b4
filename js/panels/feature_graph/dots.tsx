// The nodes of the picture, as buttons. Hundreds of them are not drawn anew while the pointer moves: what dims them is
// set on the elements.
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { keyHandler } from "../../lib/keys";
import { type Layout, type Spot, spotBeyond } from "./layout";
import type { PictureProps } from "./picture";
import { boxName, titleOf } from "./words";

interface DotsProps extends PictureProps {
  layout: Layout;
  /** What stands out; null if nothing does. */
  near: ReadonlySet<string> | null;
}

const px = (n: number): string => `${n}px`;

export function Dots(props: DotsProps) {
  const { graph, layout, names, pinned, near, marked, named } = props;
  const own = useRef(props);
  own.current = props;
  const ground = useRef<HTMLSpanElement>(null);
  const [tabbed, setTabbed] = useState<string | null>(null);
  const pinnedKey = layout.spotOf.get(pinned ?? "")?.key ?? null;
  const first = [tabbed, pinnedKey, [...layout.spots.keys()].at(-1)].find(
    (key) => key && layout.spots.has(key),
  );
  const handlers = useMemo(() => handlersOf(own, ground, setTabbed), []);
  const buttons = useMemo(
    () =>
      [...layout.spots.values()].map((spot) => (
        <button
          key={spot.key}
          type="button"
          class={named ? "hs-plain hs-focusable hs-fg-box" : "hs-plain hs-focusable hs-fg-dot"}
          data-node={spot.key}
          data-kind={spot.group === null ? spot.nodes[0].kind : "group"}
          data-traced={spot.nodes.every(({ row, traced }) => row === null || traced)}
          data-kept={spot.nodes.every(({ id }) => marked.has(id))}
          aria-pressed={spot.key === pinnedKey}
          aria-label={[named && boxName(graph, names, spot), titleOf(graph, names, spot)]
            .filter(Boolean)
            .join(": ")}
          title={titleOf(graph, names, spot)}
          tabIndex={spot.key === first ? 0 : -1}
          style={{
            left: px(spot.x - spot.width / 2),
            top: px(spot.y - spot.height / 2),
            width: px(spot.width),
            height: px(spot.height),
          }}
          {...handlers}
        >
          {named && <span class="hs-cut">{boxName(graph, names, spot)}</span>}
        </button>
      )),
    [layout, graph, names, named, marked, pinnedKey, first],
  );
  useLayoutEffect(() => {
    for (const button of ground.current?.children ?? []) {
      const { dataset } = button as HTMLElement;
      const dim = String(near !== null && !near.has(dataset.node ?? ""));
      if (dataset.dim !== dim) dataset.dim = dim;
    }
  }, [buttons, near]);
  return <span ref={ground}>{buttons}</span>;
}

function handlersOf(
  own: { current: DotsProps },
  ground: { current: HTMLElement | null },
  setTabbed: (key: string) => void,
) {
  const spotAt = (event: Event): Spot | undefined =>
    own.current.layout.spots.get((event.currentTarget as HTMLElement).dataset.node ?? "");
  const choose = (spot: Spot, toggles: boolean) => {
    const { pinned, onPin, onToggle } = own.current;
    const [{ id }] = spot.nodes;
    if (toggles) onToggle?.(spot.nodes.map((node) => node.id));
    else onPin(id === pinned ? null : id);
  };
  return {
    onPointerEnter: (event: PointerEvent) => own.current.onHover(spotAt(event)?.nodes[0].id ?? null),
    onFocus(event: FocusEvent) {
      const spot = spotAt(event);
      if (spot) setTabbed(spot.key);
    },
    onClick(event: MouseEvent) {
      const spot = spotAt(event);
      if (spot) choose(spot, event.shiftKey);
    },
    onKeyDown: keyHandler((event) => {
      const { key, shiftKey } = event;
      const spot = spotAt(event);
      if (!spot) return false;
      if (key === "Escape") own.current.onPin(null);
      // Not every browser tells with the click of a key whether Shift is held.
      if (key === "Enter" && shiftKey) choose(spot, true);
      const next = spotBeyond(own.current.layout, key, spot);
      if (next) ground.current?.querySelector<HTMLElement>(`[data-node="${CSS.escape(next.key)}"]`)?.focus();
      return next !== null || key === "Escape" || (key === "Enter" && shiftKey);
    }),
  };
}
