// Flows that can be started from here: what each did lately, and when it runs next.
import { useEffect } from "preact/hooks";
import { type Deployment, filterDeployments, updateDeployment } from "../generated/api";
import { useLoaded } from "../load";
import { Button } from "../parts/button";
import { Commands, curl } from "../parts/commands";
import { Tags } from "../parts/facts";
import { History } from "../parts/history";
import { attempt, Empty, Problem } from "../parts/notices";
import { Table } from "../parts/table";
import { at, go, query, setQuery } from "../route";
import { scheduleWords } from "../schedules";
import { away, many, millis } from "../words";

export function DeploymentsView() {
  useEffect(() => void (document.title = "Deployments · Penstock"), []);
  const { value, error, reload } = useLoaded(readAll, [], 10);
  const text = query.value.get("q") ?? "";
  const found = value.value;
  const fitting = found?.filter((each) => `${each.flow_name}/${each.name} ${each.tags?.join(" ")}`.toLowerCase().includes(text.toLowerCase()));
  return (
    <>
      <header class="view-head">
        <h1>Deployments</h1>
        <Commands
          commands={[
            { does: "List them", cli: "penstock deployment ls", rest: curl("POST", "/deployments/filter", {}) },
            { does: "Make one", cli: "penstock deploy flow.py:my_flow -n NAME -p POOL" },
          ]}
        />
      </header>
      <div class="toolbar">
        <input
          type="search"
          data-search
          aria-label="Search deployments"
          placeholder="Name or tag"
          value={text}
          onInput={(event) => setQuery({ q: event.currentTarget.value })}
        />
        <span class="quiet">{fitting ? many(fitting.length, "deployment") : ""}</span>
      </div>
      <Problem text={error.value} retry={reload} />
      {fitting &&
        (fitting.length ? (
          <Table
            label="Deployments"
            items={fitting}
            id={(each) => each.id}
            open={(each) => go(at.deployment(each.id))}
            columns={[
              {
                title: "Deployment",
                kind: "wide",
                cell: (each) => (
                  <>
                    <a href={at.deployment(each.id)} tabIndex={-1}>
                      <span class="quiet">{each.flow_name}/</span>
                      {each.name}
                    </a>
                    {each.paused && <span class="tag warn">paused</span>}
                    <Tags tags={each.tags} />
                  </>
                ),
              },
              { title: "Latest runs", cell: (each) => <History deployment={each.id} /> },
              { title: "Schedule", kind: "narrow-hidden", cell: (each) => <Schedules deployment={each} /> },
              { title: "Work pool", kind: "narrow-hidden", cell: (each) => <Served deployment={each} /> },
              {
                title: "Schedules",
                cell: (each) => (
                  <Button needs="operator" does={() => attempt(() => updateDeployment({ id: each.id, paused: !each.paused }).then(reload))}>
                    {each.paused ? "Start" : "Hold"}
                  </Button>
                ),
              },
            ]}
          />
        ) : (
          <Empty title={text ? "No deployment fits." : "Nothing is deployed yet. A flow is, by:"}>
            {!text && <pre class="code">{`my_flow.serve(name="nightly", cron="0 2 * * *")\n\npenstock deploy flow.py:my_flow -n nightly -p my-pool`}</pre>}
          </Empty>
        ))}
    </>
  );
}

async function readAll(): Promise<Deployment[]> {
  const found: Deployment[] = [];
  let cursor: string | null | undefined;
  do {
    const page = await filterDeployments({ limit: 200, cursor });
    found.push(...page.items);
    cursor = page.next;
  } while (cursor && found.length < 2_000);
  return found.sort((one, other) => `${one.flow_name}/${one.name}`.localeCompare(`${other.flow_name}/${other.name}`));
}

function Schedules({ deployment }: { deployment: Deployment }) {
  const all = (deployment.schedules ?? []).filter((each) => each.active !== false);
  const first = all[0];
  if (!first) return <span class="quiet">by hand</span>;
  return (
    <span class={deployment.paused ? "struck" : ""}>
      {scheduleWords(first.schedule)}
      {all.length > 1 && <span class="quiet"> and {all.length - 1} more</span>}
    </span>
  );
}

/** Who starts its runs: a pool's workers, or the process that serves it. */
export function Served({ deployment }: { deployment: Deployment }) {
  if (deployment.work_pool) return <a href={at.pool(deployment.work_pool)}>{deployment.work_pool}</a>;
  const polled = millis(deployment.last_polled);
  if (polled === null) return <span class="alarm">nothing serves it</span>;
  const gone = Date.now() - polled > 60_000;
  return gone ? <span class="alarm">served last {away(polled)}</span> : <span class="quiet">served</span>;
}
