// Work pools, their queues, and the workers that take runs from them. What nobody takes runs from is red.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import {
  createWorkPool, deleteWorkPool, filterLaunches, filterWorkers, filterWorkPools, readWorkQueues, updateWorkPool, updateWorkQueue, type WorkerRecord,
  type WorkPool, type WorkQueue,
} from "../generated/api";
import { useLoaded } from "../load";
import { AskDialog, numberIn, TextField } from "../parts/ask_dialog";
import { Button, Copy } from "../parts/button";
import { Commands, curl, quoted } from "../parts/commands";
import { Json } from "../parts/facts";
import { attempt, Empty, Problem, say } from "../parts/notices";
import { StateBadge } from "../parts/state";
import { Table } from "../parts/table";
import { at, go } from "../route";
import { away, briefly, count, millis, now } from "../words";

/** Who has not been heard of for so long is gone. */
const GONE = 30_000;
const TYPES = ["process", "docker", "kubernetes", "ecs", "cloud-run", "azure-container-instances"];

interface Read {
  pools: { pool: WorkPool; queues: WorkQueue[] }[];
  workers: WorkerRecord[];
}

async function read(): Promise<Read> {
  const [pools, workers] = await Promise.all([filterWorkPools({ limit: 200 }), filterWorkers({ limit: 500 })]);
  const queues = await Promise.all(pools.items.map((pool) => readWorkQueues({ work_pool: pool.name })));
  return { pools: pools.items.map((pool, index) => ({ pool, queues: queues[index]?.items ?? [] })), workers: workers.items };
}

export function PoolsView({ chosen }: { chosen: string | null }) {
  useEffect(() => void (document.title = "Work pools · Penstock"), []);
  const { value, error, reload } = useLoaded(read, [], 3);
  const making = useSignal(false);
  const found = value.value;
  return (
    <>
      <header class="view-head">
        <h1>Work pools</h1>
        <Button needs="operator" does={() => (making.value = true)}>
          Make a pool
        </Button>
        <Commands
          commands={[
            { does: "List them", cli: "penstock work-pool ls", rest: curl("POST", "/work_pools/filter", {}) },
            { does: "Make one", cli: "penstock work-pool create NAME --type process" },
            { does: "Start a worker", cli: "penstock worker start --pool NAME" },
          ]}
        />
      </header>
      <Problem text={error.value} retry={reload} />
      {found && !found.pools.length && (
        <Empty title="There is no work pool. Runs wait in one until a worker starts them:">
          <pre class="code">{"penstock work-pool create my-pool --type process\npenstock worker start --pool my-pool"}</pre>
        </Empty>
      )}
      {found?.pools
        .filter(({ pool }) => !chosen || pool.name === chosen)
        .map(({ pool, queues }) => (
          <Pool key={pool.id} pool={pool} queues={queues} workers={found.workers.filter((each) => each.work_pool === pool.name)} whole={!!chosen} reload={reload} />
        ))}
      {chosen && found && !found.pools.some(({ pool }) => pool.name === chosen) && <Problem text={`There is no work pool ${chosen}.`} />}
      {chosen && (
        <p>
          <a href="/work-pools">All work pools</a>
        </p>
      )}
      {found && !chosen && <Serving workers={found.workers.filter((each) => !each.work_pool)} />}
      {making.value && <Making close={() => (making.value = false)} reload={reload} />}
    </>
  );
}

interface PoolProps {
  pool: WorkPool;
  queues: WorkQueue[];
  workers: WorkerRecord[];
  whole: boolean;
  reload: () => Promise<void>;
}

function Pool({ pool, queues, workers, whole, reload }: PoolProps) {
  const waiting = useLoaded(() => filterLaunches({ work_pool: pool.name, limit: 200 }), [pool.name], 3);
  const deleting = useSignal(false);
  const launches = waiting.value.value?.items ?? [];
  const unclaimed = launches.filter((each) => !each.launch.claimed && !each.launch.ended);
  const lags = unclaimed.map((each) => now.value - (millis(each.launch.scheduled) ?? now.value)).filter((each) => each > 0);
  const lag = lags.length ? Math.max(...lags) : 0;
  const alive = workers.filter((each) => isAlive(each));
  return (
    <section class="pool">
      <header>
        <h2>
          <a href={at.pool(pool.name)}>{pool.name}</a> <span class="tag">{pool.type}</span>
          {pool.is_paused && <span class="tag warn">paused</span>}
        </h2>
        <div class="actions">
          <Button needs="operator" does={() => attempt(() => updateWorkPool({ name: pool.name, is_paused: !pool.is_paused }).then(reload))}>
            {pool.is_paused ? "Resume" : "Pause"}
          </Button>
          {whole && (
            <Button needs="operator" kind="danger" does={() => (deleting.value = true)}>
              Delete
            </Button>
          )}
        </div>
      </header>
      {pool.description && <p>{pool.description}</p>}
      {!alive.length && !pool.is_paused && (
        <p class="alarm" role="status">
          No worker takes runs from this pool{unclaimed.length ? `; ${count(unclaimed.length)} wait` : ""}. Start one:{" "}
          <Copy text={`penstock worker start --pool ${quoted(pool.name)}`} />
        </p>
      )}
      <p class="quiet">
        {count(launches.length - unclaimed.length)} at work{pool.concurrency_limit !== null && pool.concurrency_limit !== undefined ? ` of ${pool.concurrency_limit} at once` : ""} · {count(unclaimed.length)} waiting
        {lag > 2000 && <span class="alarm"> · the oldest is due since {away(now.value - lag, now.value).replace(" ago", "")}</span>}
      </p>
      <Table
        label={`Queues of ${pool.name}`}
        items={queues}
        id={(each) => each.id}
        columns={[
          { title: "Queue", kind: "wide", cell: (each) => <>{each.name} {each.is_paused && <span class="tag warn">paused</span>}</> },
          { title: "Priority", kind: "number", cell: (each) => each.priority },
          { title: "At once", kind: "number narrow-hidden", cell: (each) => each.concurrency_limit ?? "any" },
          { title: "Asked last", cell: (each) => <Polled queue={each} paused={!!pool.is_paused} /> },
          {
            title: "Does",
            cell: (each) => (
              <Button needs="operator" does={() => attempt(() => updateWorkQueue({ work_pool: pool.name, name: each.name, is_paused: !each.is_paused }).then(reload))}>
                {each.is_paused ? "Resume" : "Pause"}
              </Button>
            ),
          },
        ]}
      />
      {workers.length > 0 && <Workers label={`Workers of ${pool.name}`} workers={workers} />}
      {whole && (
        <>
          <h3>Waiting and at work</h3>
          {launches.length ? (
            <ul class="plain-list">
              {launches.slice(0, 50).map(({ launch, run }) => (
                <li key={run.id}>
                  <StateBadge type={run.state_type} name={run.state_name} /> <a href={at.run(run.id)}>{run.name}</a>{" "}
                  <span class="quiet">
                    due {briefly(millis(launch.scheduled) ?? 0)}, queue {launch.work_queue}
                    {launch.place && `, ${launch.place.id}`}
                  </span>
                  {launch.problem && <span class="alarm"> {launch.problem}</span>}
                </li>
              ))}
            </ul>
          ) : (
            <p class="quiet">Nothing.</p>
          )}
          <h3>Base job template</h3>
          {Object.keys(pool.base_job_template ?? {}).length ? <Json value={pool.base_job_template} /> : <p class="quiet">That of its type.</p>}
        </>
      )}
      {deleting.value && (
        <AskDialog
          title={`Delete the pool ${pool.name}`}
          does="Delete for good"
          danger
          close={() => (deleting.value = false)}
          run={async () => {
            await deleteWorkPool({ name: pool.name });
            say(`The pool ${pool.name} is deleted.`);
            go("/work-pools");
          }}
        >
          <p>Its queues go with it. What it has launched is still watched and can be ended.</p>
        </AskDialog>
      )}
    </section>
  );
}

function Polled({ queue, paused }: { queue: WorkQueue; paused: boolean }) {
  const polled = millis(queue.last_polled);
  if (polled !== null && now.value - polled < GONE + 30_000) return <span class="well">{away(polled, now.value)}</span>;
  const since = polled === null ? "Nothing has ever polled this queue" : `Nothing is polling this queue since ${briefly(polled)}`;
  return paused || queue.is_paused ? <span class="quiet">{since}</span> : <span class="alarm">{since}</span>;
}

function Workers({ workers, label }: { workers: WorkerRecord[]; label: string }) {
  return (
    <Table
      label={label}
      items={workers}
      id={(each) => each.id}
      columns={[
        { title: "Worker", kind: "wide", cell: (each) => each.name },
        { title: "Health", cell: (each) => <Health worker={each} /> },
        { title: "Runs", kind: "number", cell: (each) => `${count(each.running ?? 0)}${each.limit == null ? "" : ` of ${each.limit}`}` },
        { title: "Host", kind: "narrow-hidden", cell: (each) => each.host },
        { title: "Version", kind: "narrow-hidden", cell: (each) => each.version },
        { title: "Since", kind: "number narrow-hidden", cell: (each) => briefly(millis(each.started) ?? 0) },
      ]}
    />
  );
}

function Health({ worker }: { worker: WorkerRecord }) {
  const heard = millis(worker.heard) ?? 0;
  if (worker.left) return <span class="quiet">ended {away(millis(worker.left) ?? 0, now.value)}</span>;
  if (!isAlive(worker)) return <span class="alarm">not heard of since {away(heard, now.value).replace(" ago", "")}</span>;
  return <span class="well">{worker.draining ? "draining" : "online"}, heard {away(heard, now.value)}</span>;
}

function isAlive(worker: WorkerRecord): boolean {
  return !worker.left && now.value - (millis(worker.heard) ?? 0) < GONE;
}

/** Processes that serve their deployments themselves. */
function Serving({ workers }: { workers: WorkerRecord[] }) {
  if (!workers.length) return null;
  return (
    <section>
      <h2>Serving by themselves</h2>
      <Workers label="Processes that serve deployments" workers={workers} />
    </section>
  );
}

function Making({ close, reload }: { close: () => void; reload: () => Promise<void> }) {
  const name = useSignal("");
  const type = useSignal("process");
  const limit = useSignal("");
  return (
    <AskDialog
      title="Make a work pool"
      does="Make"
      disabled={!name.value.trim()}
      close={close}
      run={async () => {
        await createWorkPool({ name: name.value.trim(), type: type.value, concurrency_limit: numberIn(limit.value) });
        await reload();
      }}
    >
      <TextField label="Name" value={name.value} set={(text) => (name.value = text)} />
      <div class="field">
        <label for="type">Type</label>
        <select id="type" value={type.value} onChange={(event) => (type.value = event.currentTarget.value)}>
          {TYPES.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
      </div>
      <TextField label="Runs at once (empty: any number)" number short value={limit.value} set={(text) => (limit.value = text)} />
    </AskDialog>
  );
}
