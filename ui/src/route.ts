// Where the page is. All that chooses what is seen is in the address: view, id, tab, filter, selection.
import { computed, signal } from "@preact/signals";

const address = signal(location.pathname + location.search);

export const path = computed(() => new URL(address.value, location.origin).pathname);
export const query = computed(() => new URL(address.value, location.origin).searchParams);

addEventListener("popstate", () => {
  address.value = location.pathname + location.search;
});

/** Goes to another place. */
export function go(to: string): void {
  if (to === address.value) return;
  history.pushState(null, "", to);
  address.value = to;
  scrollTo(0, 0);
}

/** Changes what the address says of the same place; null takes a field away. `step` makes it a step of its own, to
 * which the browser's back button returns. */
export function setQuery(fields: Record<string, string | null>, step = false): void {
  const now = new URLSearchParams(query.value);
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === "") now.delete(name);
    else now.set(name, value);
  }
  const text = now.toString();
  const to = path.value + (text && `?${text}`);
  if (to === address.value) return;
  history[step ? "pushState" : "replaceState"](null, "", to);
  address.value = to;
}

/** What links of our own do in a click: no page is loaded for them. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = (event.target as Element | null)?.closest?.("a[href]") as HTMLAnchorElement | null;
  if (!link || link.target || link.origin !== location.origin || link.hasAttribute("download")) return;
  if (/^\/(api|docs|metrics|assets|decide)(\/|$)/.test(link.pathname)) return;
  event.preventDefault();
  if (link.hash && link.pathname === location.pathname) return;
  go(link.pathname + link.search);
}

/** Addresses of things. */
export const at = {
  runs: (search = "") => `/runs${search && `?q=${encodeURIComponent(search)}`}`,
  run: (id: string) => `/flow-runs/flow-run/${id}`,
  taskRun: (flowRun: string, id: string) => `/flow-runs/flow-run/${flowRun}?task=${id}`,
  deployment: (id: string) => `/deployments/deployment/${id}`,
  pool: (name: string) => `/work-pools/work-pool/${encodeURIComponent(name)}`,
};
