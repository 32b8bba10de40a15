// The server itself: its health, what its loops did, who is signed in, its settings and where they come from.
import { useEffect } from "preact/hooks";
import { filterAutomations, filterFirings, listUsers, readAuditLog, readReady, readSettings, readVersion, updateAutomation } from "../generated/api";
import { useLoaded } from "../load";
import { Button } from "../parts/button";
import { Commands, curl } from "../parts/commands";
import { Fact, Facts } from "../parts/facts";
import { attempt, Problem } from "../parts/notices";
import { Table } from "../parts/table";
import { chosenTab, Tabs } from "../parts/tabs";
import { at } from "../route";
import { may } from "../session";
import { briefly, bytes, count, millis, moment, now, span } from "../words";

const TABS = [
  { id: "health", title: "Health" },
  { id: "automations", title: "Automations" },
  { id: "settings", title: "Settings" },
  { id: "users", title: "Users" },
  { id: "audit", title: "Audit log" },
];

export function SystemView() {
  useEffect(() => void (document.title = "System · Penstock"), []);
  const tabs = TABS.filter((each) => ["health", "automations"].includes(each.id) || may("admin"));
  return (
    <>
      <header class="view-head">
        <h1>System</h1>
        <Commands
          commands={[
            { does: "Its version", cli: "penstock version", rest: curl("GET", "/version") },
            { does: "Its settings", cli: "penstock config view", rest: curl("GET", "/admin/settings") },
            { does: "Its figures, for Prometheus", rest: curl("GET", "/metrics") },
          ]}
        />
      </header>
      <Tabs label="Parts of the system" tabs={tabs} />
      <div role="tabpanel" aria-labelledby={`tab-tab-${chosenTab(tabs)}`}>
        <Panel tab={chosenTab(tabs)} />
      </div>
    </>
  );
}

function Panel({ tab }: { tab: string }) {
  switch (tab) {
    case "automations":
      return <Automations />;
    case "settings":
      return <Settings />;
    case "users":
      return <Users />;
    case "audit":
      return <Audit />;
    default:
      return <Health />;
  }
}

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** The server's figures, from the text that Prometheus reads. */
async function readMetrics(): Promise<Sample[]> {
  const answer = await fetch("/api/metrics", { credentials: "same-origin" });
  if (!answer.ok) throw new Error(`The figures cannot be read: status ${answer.status}.`);
  const found: Sample[] = [];
  for (const line of (await answer.text()).split("\n")) {
    const parts = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!parts) continue;
    const labels: Record<string, string> = {};
    for (const [, key, value] of (parts[2] ?? "").matchAll(/(\w+)="([^"]*)"/g)) labels[key as string] = value as string;
    found.push({ name: parts[1] as string, labels, value: Number(parts[3]) });
  }
  return found;
}

function Health() {
  const version = useLoaded(() => readVersion(), []);
  const ready = useLoaded(() => readReady(), [], 5);
  const metrics = useLoaded(readMetrics, [], 5);
  const samples = metrics.value.value ?? [];
  const one = (name: string) => samples.find((each) => each.name === name)?.value;
  const sum = (name: string) => samples.filter((each) => each.name === name).reduce((total, each) => total + each.value, 0);
  const loops = [...new Set(samples.filter((each) => each.name === "penstock_loop_runs_total").map((each) => each.labels.loop ?? ""))].map((name) => ({
    name,
    ran: samples.filter((each) => each.name === "penstock_loop_runs_total" && each.labels.loop === name),
    at: samples.find((each) => each.name === "penstock_loop_last_run_seconds" && each.labels.loop === name)?.value,
  }));
  const started = one("process_start_time_seconds");
  const server = version.value.value;
  return (
    <>
      <Problem text={ready.error.value ?? metrics.error.value} />
      <Facts>
        <Fact name="Record">{ready.value.value ? <span class="well">{ready.value.value.status}</span> : <span class="alarm">cannot be reached</span>}</Fact>
        <Fact name="Version">{server && `${server.version}, protocol ${server.protocol}, schema ${server.schema}`}</Fact>
        <Fact name="Up since">{started && `${moment(started * 1000)} (${span(now.value - started * 1000)})`}</Fact>
        <Fact name="Memory">{one("process_resident_memory_bytes") && bytes(one("process_resident_memory_bytes") ?? 0)}</Fact>
        <Fact name="Requests answered">{samples.length > 0 && count(sum("penstock_requests_total"))}</Fact>
        <Fact name="Live streams">{samples.length > 0 && count(sum("penstock_streams_open"))}</Fact>
        <Fact name="Waits to be recorded">{samples.length > 0 && bytes(one("penstock_journal_waiting_bytes") ?? 0)}</Fact>
        <Fact name="Its loops">{samples.length > 0 && (one("penstock_leading") ? "run here" : "run in another server")}</Fact>
        <Fact name="Flow runs not ended">
          {samples
            .filter((each) => each.name === "penstock_flow_runs" && each.value)
            .map((each) => `${count(each.value)} ${each.labels.state_type}`)
            .join(", ") || (samples.length > 0 && "none")}
        </Fact>
      </Facts>
      {loops.length > 0 && (
        <>
          <h2>Loops</h2>
          <Table
            label="Loops of this server"
            items={loops}
            id={(each) => each.name}
            columns={[
              { title: "Loop", kind: "wide", cell: (each) => each.name },
              {
                title: "Ran",
                cell: (each) =>
                  each.ran.map((ran) => (
                    <span key={ran.labels.ended} class={ran.labels.ended === "ok" ? "" : "alarm"}>
                      {count(ran.value)} × {ran.labels.ended}{" "}
                    </span>
                  )),
              },
              { title: "Last", kind: "number", cell: (each) => (each.at ? briefly(each.at * 1000) : "") },
            ]}
          />
        </>
      )}
    </>
  );
}

function Automations() {
  const { value, error, reload } = useLoaded(() => filterAutomations({}), [], 5);
  const firings = useLoaded(() => filterFirings({ limit: 50 }), [], 5);
  const found = value.value;
  return (
    <>
      <Problem text={error.value} retry={reload} />
      {found && !found.length && (
        <p class="empty">
          There are none. <code>penstock automation create FILE</code> makes one of a YAML file.
        </p>
      )}
      {!!found?.length && (
        <Table
          label="Automations"
          items={found}
          id={(each) => each.name}
          columns={[
            { title: "Automation", kind: "wide", cell: (each) => <>{each.name} {each.enabled === false && <span class="tag warn">off</span>}</> },
            { title: "When", cell: (each) => triggerWords(each.trigger) },
            { title: "Does", cell: (each) => each.actions.map((action) => action.type).join(", ") },
            {
              title: "Is",
              cell: (each) => (
                <Button needs="operator" does={() => attempt(() => updateAutomation({ name: each.name, enabled: each.enabled === false }).then(reload))}>
                  {each.enabled === false ? "Turn on" : "Turn off"}
                </Button>
              ),
            },
          ]}
        />
      )}
      {!!firings.value.value?.items.length && (
        <>
          <h2>Latest firings</h2>
          <Table
            label="Firings"
            items={firings.value.value.items}
            id={(each) => each.id}
            columns={[
              { title: "At", kind: "number", cell: (each) => briefly(millis(each.at) ?? 0) },
              { title: "Automation", cell: (each) => each.automation },
              { title: "Did", cell: (each) => each.action.type },
              { title: "Run", cell: (each) => (each.flow_run_id ? <a href={at.run(each.flow_run_id)}>{each.about["flow_run.name"] ?? "run"}</a> : each.subject) },
              { title: "Came to", kind: "wide", cell: (each) => <span class={each.failed ? "alarm" : ""}>{each.outcome ?? "under way"}</span> },
            ]}
          />
        </>
      )}
    </>
  );
}

type Trigger = Awaited<ReturnType<typeof filterAutomations>>[number]["trigger"];

function triggerWords(trigger: Trigger): string {
  switch (trigger.type) {
    case "run-state":
      return `a run enters ${trigger.states.join(" or ")}`;
    case "run-lasts":
      return `a run lasts longer than ${span(trigger.seconds * 1000)}`;
    case "worker-gone":
      return "a worker is gone";
    default:
      return `event ${trigger.match.event}`;
  }
}

function Settings() {
  const { value, error, reload } = useLoaded(() => readSettings(), []);
  return (
    <>
      <Problem text={error.value} retry={reload} />
      {value.value && (
        <Table
          label="Settings"
          items={value.value.settings}
          id={(each) => each.name}
          columns={[
            { title: "Setting", cell: (each) => <code>{each.name}</code> },
            { title: "Value", kind: "wide", cell: (each) => (each.value === null ? <span class="quiet">not set</span> : <code class="cut">{each.value}</code>) },
            { title: "From", kind: "narrow-hidden", cell: (each) => <span class={each.source === "default" ? "quiet" : ""}>{each.source}</span> },
          ]}
        />
      )}
    </>
  );
}

function Users() {
  const { value, error, reload } = useLoaded(() => listUsers({ limit: 500 }), []);
  const found = value.value?.items;
  return (
    <>
      <Problem text={error.value} retry={reload} />
      {found && !found.length && (
        <p class="empty">
          There are no users: nobody has to sign in. <code>penstock auth create-user NAME --role admin</code> makes the first one.
        </p>
      )}
      {!!found?.length && (
        <Table
          label="Users"
          items={found}
          id={(each) => each.name}
          columns={[
            { title: "Name", kind: "wide", cell: (each) => <>{each.name} {each.disabled && <span class="tag warn">disabled</span>}</> },
            { title: "Role", cell: (each) => each.role },
            { title: "Made", kind: "number", cell: (each) => moment(millis(each.created) ?? 0) },
          ]}
        />
      )}
    </>
  );
}

function Audit() {
  const { value, error, reload } = useLoaded(() => readAuditLog({ limit: 200 }), [], 10);
  const found = value.value?.items;
  return (
    <>
      <Problem text={error.value} retry={reload} />
      {found && !found.length && <p class="empty">Nobody has changed anything yet.</p>}
      {!!found?.length && (
        <Table
          label="What people did"
          items={found}
          id={(each) => String(each.n)}
          columns={[
            { title: "At", kind: "number", cell: (each) => briefly(millis(each.at) ?? 0) },
            { title: "Who", cell: (each) => each.who },
            { title: "Did", cell: (each) => each.operation.replaceAll("_", " ") },
            { title: "To", kind: "wide", cell: (each) => <code class="cut">{each.objects?.join(", ")}</code> },
            { title: "Came to", cell: (each) => <span class={each.outcome === "done" ? "" : "alarm"}>{each.outcome}</span> },
          ]}
        />
      )}
    </>
  );
}
