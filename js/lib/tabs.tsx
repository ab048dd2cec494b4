// Tabs of a view, of which one is open.
import type { ComponentChildren } from "preact";
import { keysAmong } from "./keys";
import { useUniqueId } from "./unique_id";

interface Tab {
  name: string;
  label: string;
  title: string;
}

interface TabsProps {
  label: string;
  tabs: readonly Tab[];
  chosen: string;
  onChoose(name: string): void;
  /** The content of the open tab. */
  children: ComponentChildren;
}

export function Tabs({ label, tabs, chosen, onChoose, children }: TabsProps) {
  const id = useUniqueId();
  const at = tabs.findIndex(({ name }) => name === chosen);
  const onKeyDown = keysAmong("tab", at, tabs.length, (next) => onChoose(tabs[next]?.name ?? chosen));
  if (tabs.length === 1) return <>{children}</>;
  return (
    <>
      <div class="hs-tabs" role="tablist" aria-label={label} tabIndex={-1} onKeyDown={onKeyDown}>
        {tabs.map((tab) => (
          <button
            key={tab.name}
            type="button"
            role="tab"
            class="hs-plain hs-focusable"
            id={`${id}-tab-${tab.name}`}
            data-hs={`tab-${tab.name}`}
            title={tab.title}
            aria-selected={tab.name === chosen}
            aria-controls={`${id}-panel`}
            tabIndex={tab.name === chosen ? 0 : -1}
            onClick={() => onChoose(tab.name)}
          >
            {tab.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-tab-${chosen}`}>
        {children}
      </div>
    </>
  );
}
