import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { Role } from "../generated/api";
import { may } from "../session";
import { say } from "./notices";

interface Props {
  children: ComponentChildren;
  /** What the click does; while it is under way the button waits. */
  does: () => unknown;
  /** The least role that may. Who may less sees a button that does not work, and why. */
  needs?: Role;
  kind?: "plain" | "main" | "danger" | "bare";
  disabled?: boolean;
  title?: string;
  label?: string;
}

export function Button({ children, does, needs, kind = "plain", disabled, title, label }: Props) {
  const busy = useSignal(false);
  const allowed = !needs || may(needs);
  const click = async () => {
    busy.value = true;
    try {
      await does();
    } finally {
      busy.value = false;
    }
  };
  return (
    <button
      type="button"
      class={kind}
      disabled={disabled || busy.value || !allowed}
      aria-busy={busy.value}
      aria-label={label}
      title={allowed ? title : `Only ${needs === "admin" ? "an admin" : "an operator or admin"} may do this.`}
      onClick={() => void click()}
    >
      {children}
    </button>
  );
}

/** Text that a click copies. */
export function Copy({ text, label, children }: { text: string; label?: string; children?: ComponentChildren }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say(`Copied: ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`);
    } catch {
      say("The browser did not let the page copy it.", "trouble");
    }
  };
  return (
    <button type="button" class="bare copy" title={`Copy ${label ?? text}`} onClick={() => void copy()}>
      {children ?? <code>{text}</code>}
      <span aria-hidden="true" class="copy-sign">
        ❐
      </span>
    </button>
  );
}
