// Tabs: one is in the tab order, the arrow keys choose.
import { keysAmong } from "../../lib/keys";

export interface Tab {
  name: string;
  label: string;
}

interface TabsProps {
  id: string;
  label: string;
  tabs: readonly Tab[];
  chosen: string;
  onChoose(name: string): void;
}

export const tabId = (id: string, name: string): string => `${id}-tab-${name}`;
export const panelId = (id: string): string => `${id}-panel`;

export function Tabs({ id, label, tabs, chosen, onChoose }: TabsProps) {
  const at = tabs.findIndex(({ name }) => name === chosen);
  const onKeyDown = keysAmong("tab", at, tabs.length, (next) => onChoose(tabs[next]?.name ?? chosen));
  return (
    <div class="hs-tabs" role="tablist" aria-label={label} tabIndex={-1} onKeyDown={onKeyDown}>
      {tabs.map((tab) => (
        <button
          key={tab.name}
          type="button"
          role="tab"
          class="hs-plain hs-focusable"
          id={tabId(id, tab.name)}
          data-hs={`tab-${tab.name}`}
          aria-selected={tab.name === chosen}
          aria-controls={panelId(id)}
          tabIndex={tab.name === chosen ? 0 : -1}
          onClick={() => onChoose(tab.name)}
        >
          {tab.label}
        </button>
      ))}
    </div>
  );
}
