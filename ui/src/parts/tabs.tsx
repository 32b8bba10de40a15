// Tabs, whose choice is in the address.
import { query, setQuery } from "../route";

interface Props {
  /** Field of the address. */
  field?: string;
  label: string;
  tabs: { id: string; title: string; count?: number | null }[];
}

export function chosenTab(tabs: Props["tabs"], field = "tab"): string {
  const asked = query.value.get(field);
  return tabs.some((each) => each.id === asked) ? (asked as string) : (tabs[0]?.id ?? "");
}

export function Tabs({ field = "tab", label, tabs }: Props) {
  const chosen = chosenTab(tabs, field);
  const choose = (at: number) => {
    const tab = tabs[(at + tabs.length) % tabs.length];
    if (!tab) return;
    setQuery({ [field]: tab.id === tabs[0]?.id ? null : tab.id });
    document.getElementById(`tab-${field}-${tab.id}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label}>
      {tabs.map((each, index) => (
        <button
          key={each.id}
          type="button"
          role="tab"
          id={`tab-${field}-${each.id}`}
          aria-selected={each.id === chosen}
          tabIndex={each.id === chosen ? 0 : -1}
          onClick={() => choose(index)}
          onKeyDown={(event) => {
            if (event.key === "ArrowRight") choose(index + 1);
            else if (event.key === "ArrowLeft") choose(index - 1);
            else return;
            event.preventDefault();
          }}
        >
          {each.title}
          {each.count ? <span class="count">{each.count.toLocaleString("en")}</span> : null}
        </button>
      ))}
    </div>
  );
}
