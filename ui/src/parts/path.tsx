// The states that a run went through, each with how long it stayed and what was said of it.
import type { State } from "../generated/api";
import { FINAL } from "../generated/states";
import { moment, millis, now, span } from "../words";
import { stopping } from "../story";
import { StateBadge } from "./state";

export function StatePath({ states }: { states: State[] }) {
  return (
    <ol class="path">
      {states.map((state, index) => {
        const at = millis(state.timestamp) ?? 0;
        const next = states[index + 1];
        const until = next ? (millis(next.timestamp) ?? at) : FINAL.has(state.type) ? null : now.value;
        const details = (state.details ?? {}) as Record<string, unknown>;
        const how = stopping(state);
        return (
          <li key={`${state.timestamp}/${index}`}>
            <div>
              <StateBadge type={state.type} name={state.name} />
              <time class="quiet">{moment(at)}</time>
              {until !== null && <span class="quiet">{span(until - at)}</span>}
            </div>
            {state.message && <p class="message">{state.message}</p>}
            {how && <p class="quiet">{how}</p>}
            {typeof details.where === "string" && <code class="where">{details.where}</code>}
            {Array.isArray(details.stack) && (
              <details>
                <summary>The lines that led there</summary>
                <pre class="code">{details.stack.join("\n")}</pre>
              </details>
            )}
          </li>
        );
      })}
    </ol>
  );
}
