// Keys that do something wherever the focus is, unless somebody types. `?` shows them all.
import { useLayoutEffect } from "preact/hooks";

export interface Key {
  /** As it is pressed: `j`, `/`, or two after one another: `g r`. */
  keys: string;
  does: string;
  run: () => void;
}

const known = new Set<Key>();
let first = "";
let firstAt = 0;

/** All keys that do something now. */
export function knownKeys(): Key[] {
  return [...known];
}

/** The keys are good while the part is on the page. */
export function useKeys(keys: Key[], what: unknown[] = []): void {
  // With what is seen, and not a moment after it.
  useLayoutEffect(() => {
    for (const key of keys) known.add(key);
    return () => {
      for (const key of keys) known.delete(key);
    };
  }, what);
}

const TYPING = "input, textarea, select, [contenteditable], dialog[open] *";

export function pressed(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if ((event.target as Element | null)?.closest?.(TYPING) || document.querySelector("dialog[open]")) return;
  const both = event.timeStamp - firstAt < 1000 ? `${first} ${event.key}` : "";
  // The one that came last: a view's goes before the page's.
  const all = [...known].reverse();
  const found = all.find((each) => each.keys === both) ?? all.find((each) => each.keys === event.key);
  first = event.key;
  firstAt = event.timeStamp;
  if (!found) return;
  event.preventDefault();
  first = "";
  found.run();
}

/** Moves the focus among the rows of a list: every row has `data-row`. */
export function moveRow(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}
