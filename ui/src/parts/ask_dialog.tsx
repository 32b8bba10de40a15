// A short form in front of the page, for making or changing one thing.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { sentence } from "../ask";
import type { Role } from "../generated/api";
import { Button } from "./button";
import { Dialog } from "./dialog";
import { Problem } from "./notices";

interface Props {
  title: string;
  does: string;
  danger?: boolean;
  needs?: Role;
  disabled?: boolean;
  close: () => void;
  run: () => Promise<unknown>;
  children?: ComponentChildren;
}

export function AskDialog({ title, does, danger, needs = "operator", disabled, close, run, children }: Props) {
  const refused = useSignal<string | null>(null);
  async function go(): Promise<void> {
    try {
      await run();
      close();
    } catch (error) {
      refused.value = sentence(error);
    }
  }
  return (
    <Dialog title={title} close={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!disabled) void go();
        }}
      >
        {children}
        <Problem text={refused.value} />
        <footer>
          <button type="button" onClick={close}>
            Leave it
          </button>
          <Button kind={danger ? "danger" : "main"} needs={needs} disabled={disabled} does={go}>
            {does}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}

interface TextProps {
  label: string;
  value: string;
  set: (text: string) => void;
  short?: boolean;
  number?: boolean;
  hidden?: boolean;
  hint?: string;
}

/** A line of text with its label. */
export function TextField({ label, value, set, short, number, hidden, hint }: TextProps) {
  const id = `field-${label.toLowerCase().replaceAll(/\W+/g, "-")}`;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        class={short ? "short" : ""}
        type={hidden ? "password" : "text"}
        autocomplete={hidden ? "new-password" : "off"}
        inputMode={number ? "decimal" : undefined}
        value={value}
        onInput={(event) => set(event.currentTarget.value)}
      />
      {hint && <p class="quiet small">{hint}</p>}
    </div>
  );
}

/** What was written as a number; null for nothing. */
export function numberIn(text: string): number | null {
  return text.trim() === "" ? null : Number(text);
}
