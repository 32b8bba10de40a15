// What the page says of itself: that something was done, or was not.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { sentence } from "../ask";

interface Notice {
  id: number;
  text: string;
  kind: "done" | "trouble";
}

const notices = signal<Notice[]>([]);
let last = 0;

export function say(text: string, kind: Notice["kind"] = "done"): void {
  const id = ++last;
  notices.value = [...notices.value.slice(-3), { id, text, kind }];
  setTimeout(() => dismiss(id), kind === "done" ? 5_000 : 15_000);
}

function dismiss(id: number): void {
  notices.value = notices.value.filter((each) => each.id !== id);
}

/** Does what a click asks for, and says what came of it. Gives whether it was done. */
export async function attempt(work: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await work();
    if (done) say(done);
    return true;
  } catch (error) {
    say(sentence(error), "trouble");
    return false;
  }
}

export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map((each) => (
        <div key={each.id} class={`notice ${each.kind}`}>
          <span>{each.text}</span>
          <button type="button" class="bare" aria-label="Dismiss" onClick={() => dismiss(each.id)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}

export function Problem({ text, retry }: { text: string | null; retry?: () => void }) {
  if (!text) return null;
  return (
    <div class="problem" role="alert">
      <span>{text}</span>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Where a list is empty: what fills it. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p>{title}</p>
      {children}
    </div>
  );
}
