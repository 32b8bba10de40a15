// One deployment: run it with a form, see what comes next and what was, change its schedules.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import {
  createDeploymentSchedule, createFlowRunFromDeployment, deleteDeployment, deleteDeploymentSchedule, type Deployment, type DeploymentSchedule,
  filterFlowRuns, findDeployment, type Preview, previewSchedule, readDeployment, updateDeployment, updateDeploymentSchedule,
} from "../generated/api";
import { useKeys } from "../keys";
import { useLoaded } from "../load";
import { AskDialog, TextField } from "../parts/ask_dialog";
import { Button, Copy } from "../parts/button";
import { Commands, curl, quoted } from "../parts/commands";
import { Fact, Facts, Json, Tags, Values } from "../parts/facts";
import { SchemaForm, useBroken } from "../parts/form";
import { History } from "../parts/history";
import { attempt, Problem, say } from "../parts/notices";
import { StateBadge } from "../parts/state";
import { Table } from "../parts/table";
import { chosenTab, Tabs } from "../parts/tabs";
import { at, go } from "../route";
import { RunList } from "../runs";
import { beginningOf, type Schema } from "../schema";
import { scheduleWords } from "../schedules";
import { away, millis, moment, now } from "../words";
import { Served } from "./deployments";
import { started, took } from "./runs";

const TABS = [
  { id: "runs", title: "Runs" },
  { id: "schedules", title: "Schedules" },
  { id: "parameters", title: "Parameters" },
  { id: "details", title: "Details" },
];
const UUID = /^[0-9a-f-]{32,36}$/i;

export function DeploymentView({ id }: { id: string }) {
  const { value, error, reload } = useLoaded(() => (UUID.test(id) ? readDeployment({ id }) : findDeployment({ text: id })), [id], 10);
  const asks = useSignal<"run" | "delete" | null>(null);
  const found = value.value;
  useEffect(() => {
    if (found) document.title = `${found.name} · Penstock`;
  }, [found?.name]);
  useKeys([{ keys: "n", does: "run it", run: () => (asks.value = "run") }]);
  if (!found) return error.value ? <Problem text={error.value} retry={reload} /> : <p class="quiet loading">Reading the deployment…</p>;
  const called = `${found.flow_name}/${found.name}`;
  return (
    <article>
      <header class="run-head">
        <div class="run-title">
          <div>
            <p class="crumbs">
              <a href={at.runs(`flow:${found.flow_name}`)}>{found.flow_name}</a>
            </p>
            <h1>
              {found.name} {found.paused && <span class="tag warn">schedules held</span>}
            </h1>
          </div>
          <div class="actions">
            <Button needs="operator" does={() => attempt(() => updateDeployment({ id: found.id, paused: !found.paused }).then(reload))}>
              {found.paused ? "Start schedules" : "Hold schedules"}
            </Button>
            <Button needs="operator" kind="danger" does={() => (asks.value = "delete")}>
              Delete
            </Button>
            <Button needs="operator" kind="main" does={() => (asks.value = "run")}>
              Run
            </Button>
          </div>
        </div>
        {found.description && <p>{found.description}</p>}
        <p class="run-meta">
          <span>
            Served by: <Served deployment={found} />
          </span>
          <Tags tags={found.tags} />
          <History deployment={found.id} runs={40} />
          <Commands
            commands={[
              { does: "Run it", cli: `penstock deployment run ${quoted(called)}`, rest: curl("POST", `/deployments/${found.id}/create_flow_run`, { parameters: {} }) },
              { does: "Read it", cli: `penstock deployment inspect ${quoted(called)}`, rest: curl("GET", `/deployments/${found.id}`) },
            ]}
          />
        </p>
      </header>
      <Tabs label="Views of the deployment" tabs={TABS} />
      <div role="tabpanel" aria-labelledby={`tab-tab-${chosenTab(TABS)}`}>
        <Panel deployment={found} reload={reload} />
      </div>
      {asks.value === "run" && <Running deployment={found} close={() => (asks.value = null)} />}
      {asks.value === "delete" && (
        <AskDialog
          title={`Delete ${called}`}
          does="Delete for good"
          danger
          close={() => (asks.value = null)}
          run={async () => {
            await deleteDeployment({ id: found.id });
            say(`${called} is deleted.`);
            go("/deployments");
          }}
        >
          <p>Its schedules go with it, and its runs that have not begun will never start. Runs that have begun stay as they are.</p>
        </AskDialog>
      )}
    </article>
  );
}

function Panel({ deployment, reload }: { deployment: Deployment; reload: () => Promise<void> }) {
  switch (chosenTab(TABS)) {
    case "schedules":
      return <Schedules deployment={deployment} reload={reload} />;
    case "parameters":
      return (
        <>
          <h2>What it is called with</h2>
          <Values values={deployment.parameters} none="Nothing is set: the flow's own defaults." />
          <h2>What it takes</h2>
          <Json value={deployment.parameter_schema ?? {}} />
        </>
      );
    case "details":
      return <Details deployment={deployment} />;
    default:
      return <Runs deployment={deployment} />;
  }
}

function Runs({ deployment }: { deployment: Deployment }) {
  const list = useMemo(() => new RunList({ deployment_id: deployment.id }), [deployment.id]);
  useEffect(() => {
    list.start();
    return () => list.stop();
  }, [list]);
  void list.version.value;
  const upcoming = useLoaded(
    async () => {
      const { items } = await filterFlowRuns({ filter: { deployment_id: deployment.id, state_types: ["SCHEDULED"] }, limit: 200 });
      const time = (each: (typeof items)[number]) => millis(each.expected_start_time) ?? 0;
      return items.sort((one, other) => time(one) - time(other)).slice(0, 5);
    },
    [deployment.id],
    5,
  );
  const next = upcoming.value.value ?? [];
  const past = list.items.filter((each) => each.state_type !== "SCHEDULED");
  return (
    <>
      <h2>Next</h2>
      {next.length ? (
        <ul class="plain-list">
          {next.map((run) => {
            const due = millis(run.expected_start_time);
            return (
              <li key={run.id}>
                <StateBadge type={run.state_type} name={run.state_name} /> <a href={at.run(run.id)}>{run.name}</a>{" "}
                <span class="quiet">{due !== null && `${moment(due)}, ${away(due, now.value)}`}</span>
              </li>
            );
          })}
        </ul>
      ) : (
        <p class="quiet">Nothing is planned.</p>
      )}
      <h2>Before</h2>
      <Problem text={list.trouble.value} retry={() => list.read()} />
      {past.length ? (
        <Table
          label="Runs of the deployment"
          items={past}
          id={(run) => run.id}
          open={(run) => go(at.run(run.id))}
          columns={[
            { title: "State", cell: (run) => <StateBadge type={run.state_type} name={run.state_name} /> },
            {
              title: "Run",
              kind: "wide",
              cell: (run) => (
                <a href={at.run(run.id)} tabIndex={-1}>
                  {run.name}
                </a>
              ),
            },
            { title: "Started", kind: "number", cell: started },
            { title: "Took", kind: "number", cell: took },
          ]}
        />
      ) : (
        !list.loading.value && <p class="quiet">It never ran.</p>
      )}
      {list.next && (
        <p class="more">
          <Button does={() => list.readMore()}>More runs</Button>
        </p>
      )}
    </>
  );
}

function Running({ deployment, close }: { deployment: Deployment; close: () => void }) {
  const schema = (deployment.parameter_schema ?? {}) as Schema;
  const parameters = useSignal<unknown>(beginningOf(schema, schema, deployment.parameters ?? {}));
  const broken = useBroken();
  const name = useSignal("");
  const when = useSignal("");
  const tags = useSignal("");
  const takes = Object.keys(schema.properties ?? {}).length > 0;
  return (
    <AskDialog
      title={`Run ${deployment.flow_name}/${deployment.name}`}
      does="Run"
      disabled={broken.any}
      close={close}
      run={async () => {
        const run = await createFlowRunFromDeployment({
          id: deployment.id,
          parameters: (parameters.value ?? {}) as Record<string, unknown>,
          ...(name.value ? { name: name.value } : {}),
          ...(when.value ? { scheduled_time: new Date(when.value).toISOString() } : {}),
          ...(tags.value.trim() ? { tags: tags.value.split(",").map((each) => each.trim()).filter(Boolean) } : {}),
        });
        say(`Made: ${run.name}`);
        go(at.run(run.id));
      }}
    >
      {takes ? (
        <SchemaForm schema={schema} value={parameters.value} change={(given) => (parameters.value = given)} broken={broken.mark} />
      ) : (
        <p class="quiet">The flow takes no parameters.</p>
      )}
      <details>
        <summary>Name, time, tags</summary>
        <TextField label="Name of the run" value={name.value} set={(text) => (name.value = text)} />
        <div class="field">
          <label for="when">Not now, but at</label>
          <input id="when" type="datetime-local" value={when.value} onInput={(event) => (when.value = event.currentTarget.value)} />
        </div>
        <TextField label="Tags, by commas" value={tags.value} set={(text) => (tags.value = text)} />
      </details>
    </AskDialog>
  );
}

function Schedules({ deployment, reload }: { deployment: Deployment; reload: () => Promise<void> }) {
  const adding = useSignal(false);
  const all = deployment.schedules ?? [];
  return (
    <section>
      <div class="toolbar">
        <Button needs="operator" does={() => (adding.value = true)}>
          Add a schedule
        </Button>
      </div>
      {all.length ? (
        <ul class="schedules">
          {all.map((each) => (
            <Schedule key={each.id} deployment={deployment} schedule={each} reload={reload} />
          ))}
        </ul>
      ) : (
        <p class="quiet">It has no schedule: it runs when somebody asks for it.</p>
      )}
      {adding.value && <AddSchedule deployment={deployment} close={() => (adding.value = false)} reload={reload} />}
    </section>
  );
}

function Schedule({ deployment, schedule, reload }: { deployment: Deployment; schedule: DeploymentSchedule; reload: () => Promise<void> }) {
  const preview = useLoaded(() => previewSchedule({ schedule: schedule.schedule, limit: 3 }), [JSON.stringify(schedule.schedule)]);
  const words = preview.value.value?.words ?? scheduleWords(schedule.schedule);
  const which = { deployment_id: deployment.id, schedule_id: schedule.id };
  return (
    <li>
      <div>
        <strong class={schedule.active === false || deployment.paused ? "struck" : ""}>{words}</strong>
        {schedule.slug && <span class="tag">{schedule.slug}</span>}
        <p class="quiet">{scheduleWords(schedule.schedule)}</p>
        {schedule.problem && <p class="alarm">{schedule.problem}</p>}
        <Times preview={preview.value.value} />
      </div>
      <div class="actions">
        <Button needs="operator" does={() => attempt(() => updateDeploymentSchedule({ ...which, active: schedule.active === false }).then(reload))}>
          {schedule.active === false ? "Start" : "Hold"}
        </Button>
        <Button needs="operator" kind="danger" does={() => attempt(() => deleteDeploymentSchedule(which).then(reload), "The schedule is deleted.")}>
          Delete
        </Button>
      </div>
    </li>
  );
}

function Times({ preview }: { preview: Preview | undefined }) {
  if (!preview) return null;
  return <p class="quiet">Next: {preview.times.map((each) => moment(millis(each) ?? 0)).join(" · ") || "never"}</p>;
}

function AddSchedule({ deployment, close, reload }: { deployment: Deployment; close: () => void; reload: () => Promise<void> }) {
  const kind = useSignal<"cron" | "interval">("cron");
  const text = useSignal("0 2 * * *");
  const zone = useSignal(Intl.DateTimeFormat().resolvedOptions().timeZone);
  const schedule: DeploymentSchedule["schedule"] =
    kind.value === "cron"
      ? { kind: "cron", cron: text.value, timezone: zone.value }
      : { kind: "interval", interval: Number(text.value), timezone: zone.value };
  const preview = useLoaded(() => previewSchedule({ schedule, limit: 5 }), [JSON.stringify(schedule)]);
  return (
    <AskDialog
      title="Add a schedule"
      does="Add"
      close={close}
      disabled={preview.value.value === undefined}
      run={async () => {
        await createDeploymentSchedule({ deployment_id: deployment.id, schedule });
        await reload();
      }}
    >
      <div class="field">
        <label for="kind">Kind</label>
        <select
          id="kind"
          value={kind.value}
          onChange={(event) => {
            kind.value = event.currentTarget.value as "cron" | "interval";
            text.value = kind.value === "cron" ? "0 2 * * *" : "3600";
          }}
        >
          <option value="cron">cron</option>
          <option value="interval">every so many seconds</option>
        </select>
      </div>
      <TextField label={kind.value === "cron" ? "Cron: minute hour day month weekday" : "Seconds"} value={text.value} set={(given) => (text.value = given)} />
      <TextField label="Time zone" value={zone.value} set={(given) => (zone.value = given)} />
      {preview.error.value ? <p class="wrong">{preview.error.value}</p> : <p>{preview.value.value?.words}</p>}
      <Times preview={preview.value.value} />
    </AskDialog>
  );
}

function Details({ deployment }: { deployment: Deployment }) {
  return (
    <>
      <Facts>
        <Fact name="Id">
          <Copy text={deployment.id} />
        </Fact>
        <Fact name="Version">{deployment.version}</Fact>
        <Fact name="Entrypoint">{deployment.entrypoint && <code>{deployment.entrypoint}</code>}</Fact>
        <Fact name="Directory">{deployment.path && <code>{deployment.path}</code>}</Fact>
        <Fact name="Work pool">{deployment.work_pool}</Fact>
        <Fact name="Queue">{deployment.work_queue}</Fact>
        <Fact name="At once">{deployment.concurrency_limit && `${deployment.concurrency_limit}, then ${deployment.collision}`}</Fact>
        <Fact name="Grace period">{deployment.grace !== null && deployment.grace !== undefined && `${deployment.grace} s`}</Fact>
        <Fact name="Has to start within">{deployment.start_timeout && `${deployment.start_timeout} s`}</Fact>
        <Fact name="Created">{moment(millis(deployment.created) ?? 0)}</Fact>
        <Fact name="Changed">{`${moment(millis(deployment.updated) ?? 0)}, revision ${deployment.revision ?? 0}`}</Fact>
      </Facts>
      {!!deployment.pull_steps?.length && (
        <>
          <h2>Pull steps</h2>
          <Json value={deployment.pull_steps} />
        </>
      )}
      <h2>Job variables</h2>
      <Values values={deployment.job_variables} none="As the work pool has them." />
    </>
  );
}
