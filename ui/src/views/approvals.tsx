// What waits for a person: approvals, and runs to be resumed; the one that is over first, first.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { filterPauses, type Pause, type Waiting } from "../generated/api";
import { useLoaded } from "../load";
import { Answering } from "../parts/answering";
import { Button } from "../parts/button";
import { Commands, curl } from "../parts/commands";
import { Empty, Problem } from "../parts/notices";
import { StateBadge } from "../parts/state";
import { at } from "../route";
import { me } from "../session";
import { away, briefly, many, millis, now } from "../words";

export function ApprovalsView() {
  useEffect(() => void (document.title = "Approvals · Penstock"), []);
  const { value, error, reload } = useLoaded(() => filterPauses({ limit: 500 }), [], 3);
  const answering = useSignal<Waiting | null>(null);
  const found = value.value && [...value.value.items].sort((one, other) => due(one.pause) - due(other.pause));
  return (
    <>
      <header class="view-head">
        <h1>Approvals</h1>
        {found && <span class="quiet">{many(found.length, "run")} waiting for somebody</span>}
        <Commands
          commands={[
            { does: "List them", cli: "penstock approval ls", rest: curl("POST", "/pauses/filter", {}) },
            { does: "Approve one", cli: "penstock approval approve RUN" },
            { does: "Reject one", cli: "penstock approval reject RUN" },
          ]}
        />
      </header>
      <Problem text={error.value} retry={reload} />
      {found && !found.length && (
        <Empty title="Nothing waits for anybody. A flow asks by:">
          <pre class="code">{'from penstock.approvals import require_approval\n\nrequire_approval("May this be released?")'}</pre>
        </Empty>
      )}
      <ul class="waiting">
        {found?.map((each) => {
          const { pause, run } = each;
          const deadline = millis(pause.deadline);
          const asked = isAsked(pause);
          return (
            <li key={pause.id} data-row={pause.id} tabIndex={0} onKeyDown={(event) => event.key === "Enter" && event.target === event.currentTarget && (answering.value = each)}>
              <div>
                <p>
                  <StateBadge type={run.state_type} name={run.state_name} /> <a href={at.run(run.id)}>{run.name}</a>{" "}
                  <span class="quiet">of {run.flow_name}</span>
                  {pause.approval && <span class="tag">approval</span>}
                  {pause.schema && <span class="tag">asks for input</span>}
                  {pause.event && <span class="tag">event {pause.event.event}</span>}
                </p>
                {pause.text && <p class="asked">{pause.text}</p>}
                <p class="quiet">
                  for {away(millis(pause.begun) ?? 0, now.value).replace(" ago", "")}
                  {deadline !== null && `, until ${briefly(deadline)} (${away(deadline, now.value)})`}
                  {(pause.quorum ?? 1) > 1 && `, ${pause.decisions?.length ?? 0} of ${pause.quorum} have approved`}
                  {!!pause.approvers?.length && `, asked: ${pause.approvers.join(", ")}`}
                </p>
              </div>
              <Button kind="main" needs="operator" disabled={!asked} title={asked ? undefined : "Somebody else is asked."} does={() => (answering.value = each)}>
                {pause.approval ? "Decide" : "Resume"}
              </Button>
            </li>
          );
        })}
      </ul>
      {answering.value && (
        <Answering run={answering.value.run} pause={answering.value.pause} close={() => (answering.value = null)} done={() => void reload()} />
      )}
    </>
  );
}

/** Whether who looks is asked; the server has the last word. */
function isAsked(pause: Pause): boolean {
  const approvers = pause.approvers ?? [];
  const mine = me.value;
  return !approvers.length || !mine?.sign_in || approvers.includes(mine.name ?? mine.who) || approvers.includes(`role:${mine.role}`);
}

function due(pause: Pause): number {
  return millis(pause.deadline) ?? Number.POSITIVE_INFINITY;
}
