import type { StateType } from "../generated/api";
import { LOOKS, NAMES } from "../generated/states";

/** A state's glyph and name in its colour. */
export function StateBadge({ type, name, big }: { type?: StateType | null; name?: string | null; big?: boolean }) {
  if (!type) return <span class="quiet">no state</span>;
  return (
    <span class={`state state-${type.toLowerCase()}${big ? " big" : ""}`}>
      <span aria-hidden="true" class="glyph">
        {LOOKS[type].glyph}
      </span>
      {name ?? type}
    </span>
  );
}

/** The type of a state by its name, where the engine writes it. */
export function typeOf(name: string): StateType | undefined {
  return NAMES[name];
}

export function glyphOf(type: StateType): string {
  return LOOKS[type].glyph;
}
