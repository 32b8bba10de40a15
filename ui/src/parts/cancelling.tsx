// Cancelling one run or many: first it is said what that comes to, then it is done.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { sentence } from "../ask";
import { bulkCancelFlowRuns, type Cancelled, type FlowRun, type RunFilter } from "../generated/api";
import { FINAL } from "../generated/states";
import { many } from "../words";
import { Button } from "./button";
import { Dialog } from "./dialog";
import { Problem, say } from "./notices";
import { StateBadge } from "./state";

interface Props {
  /** These runs, or those that fit and have not ended. */
  ids?: string[];
  filter?: RunFilter;
  title: string;
  close: () => void;
  done?: (cancelled: Cancelled[]) => void;
}

const SHOWN = 8;

export function Cancelling({ ids, filter, title, close, done }: Props) {
  const preview = useSignal<Cancelled[] | null>(null);
  const refused = useSignal<string | null>(null);
  const grace = useSignal("");
  const kill = useSignal(false);
  const which = ids ? { ids } : { filter };

  useEffect(() => {
    bulkCancelFlowRuns({ ...which, dry_run: true }).then(
      (found) => (preview.value = found),
      (error) => (refused.value = sentence(error)),
    );
  }, []);

  const asked = (preview.value ?? []).filter((each) => each.run?.state_type && !FINAL.has(each.run.state_type));
  const seconds = kill.value ? 0 : grace.value.trim() === "" ? null : Number(grace.value);
  const wrong = seconds !== null && !(seconds >= 0);

  async function cancel(): Promise<void> {
    try {
      const found = await bulkCancelFlowRuns({ ...which, grace: seconds });
      const refusals = found.filter((each) => each.outcome === "transition-refused" || each.outcome === "not-found");
      const first = refusals[0];
      if (first) say(first.message, "trouble");
      else say(found.length === 1 ? (found[0] as Cancelled).message : `${many(found.length, "run")} asked to stop`);
      done?.(found);
      close();
    } catch (error) {
      refused.value = sentence(error);
    }
  }

  return (
    <Dialog title={title} close={close}>
      {!preview.value && !refused.value && <p class="quiet">Looking what that comes to…</p>}
      {preview.value && (
        <>
          <p>{consequence(asked)}</p>
          <ul class="plain-list">
            {asked.slice(0, SHOWN).map((each) => (
              <li key={each.id}>
                <StateBadge type={each.run?.state_type} name={each.run?.state_name} /> {each.run?.name ?? each.id}
                {each.run?.flow_name && <span class="quiet"> of {each.run.flow_name}</span>}
              </li>
            ))}
            {asked.length > SHOWN && <li class="quiet">and {many(asked.length - SHOWN, "other")}</li>}
          </ul>
        </>
      )}
      <div class="field inline">
        <label for="grace">Seconds to come to an end by itself</label>
        <input
          id="grace"
          class="short"
          inputMode="decimal"
          placeholder="as set"
          disabled={kill.value}
          aria-invalid={wrong}
          value={grace.value}
          onInput={(event) => (grace.value = event.currentTarget.value)}
        />
      </div>
      <label class="check">
        <input type="checkbox" checked={kill.value} onChange={() => (kill.value = !kill.value)} /> Kill now: no time to clean up
      </label>
      <Problem text={refused.value} />
      <footer>
        <button type="button" onClick={close}>
          Leave {asked.length === 1 ? "it" : "them"}
        </button>
        <Button kind="danger" needs="operator" disabled={!asked.length || wrong} does={cancel}>
          {kill.value ? "Kill" : "Cancel"} {asked.length === 1 ? "the run" : many(asked.length, "run")}
        </Button>
      </footer>
    </Dialog>
  );
}

/** What it comes to, in a sentence. */
function consequence(asked: Cancelled[]): string {
  if (!asked.length) return "None of them is left to be stopped.";
  const runs = asked.map((each) => each.run).filter((each): each is FlowRun => !!each);
  const working = runs.filter((each) => ["RUNNING", "CANCELLING"].includes(each.state_type ?? "")).length;
  const waiting = runs.filter((each) => each.state_type === "PAUSED").length;
  const launched = new Map<string, number>();
  for (const run of runs) {
    const kind = run.deployment_id ? "were launched by a worker" : null;
    if (kind && run.state_type !== "SCHEDULED") launched.set(kind, (launched.get(kind) ?? 0) + 1);
  }
  const parts = [
    working && `${working} at work: told to stop, and killed after the grace period`,
    waiting && `${waiting} waiting`,
    asked.length - working - waiting > 0 && `${asked.length - working - waiting} not begun: will never start`,
    ...[...launched].map(([how, count]) => `${count} ${how}`),
  ].filter(Boolean);
  return `${many(asked.length, "run")}: ${parts.join("; ")}.`;
}
