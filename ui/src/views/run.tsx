// The page of a run. Without a click it says what the run is doing, why it stopped, and what happens next.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { may } from "../session";
import { checkFlowRunRetry, pauseFlowRun, retryFlowRun, type StateType } from "../generated/api";
import { FINAL } from "../generated/states";
import { useKeys } from "../keys";
import { Answering } from "../parts/answering";
import { Artifacts } from "../parts/artifacts";
import { Button, Copy } from "../parts/button";
import { Cancelling } from "../parts/cancelling";
import { Commands, curl } from "../parts/commands";
import { Dialog } from "../parts/dialog";
import { Tags, Values } from "../parts/facts";
import { Graph } from "../parts/graph";
import { Infrastructure } from "../parts/infrastructure";
import { Inspector } from "../parts/inspector";
import { Logs } from "../parts/logs";
import { Problem, say } from "../parts/notices";
import { StatePath } from "../parts/path";
import { Result } from "../parts/result";
import { glyphOf, StateBadge } from "../parts/state";
import { chosenTab, Tabs } from "../parts/tabs";
import { Timeline } from "../parts/timeline";
import { at, go, query, setQuery } from "../route";
import { RunPage } from "../run";
import { MOST_ROWS, rowOf } from "../rows";
import { sentence } from "../ask";
import { lastLine, stopping, storyOf } from "../story";
import { count, many, millis, now } from "../words";

const TABS = [
  { id: "timeline", title: "Timeline" },
  { id: "graph", title: "Graph" },
  { id: "logs", title: "Logs" },
  { id: "parameters", title: "Parameters" },
  { id: "result", title: "Result" },
  { id: "artifacts", title: "Artifacts" },
  { id: "states", title: "States" },
  { id: "infrastructure", title: "Infrastructure" },
];

export function RunView({ id }: { id: string }) {
  const page = useMemo(() => new RunPage(id), [id]);
  useEffect(() => {
    page.start();
    return () => page.stop();
  }, [page]);
  const run = page.run.value;
  useEffect(() => {
    if (run) document.title = `${glyphOf(run.state_type ?? "PENDING")} ${run.name} · Penstock`;
  }, [run?.name, run?.state_type]);
  useKeys([{ keys: "r", does: "read the run again", run: () => void page.read() }], [page]);
  if (page.gone.value) return <Problem text="This run was deleted." />;
  if (!run) return page.trouble.value ? <Problem text={page.trouble.value} retry={() => page.read()} /> : <p class="quiet loading">Reading the run…</p>;
  return (
    <article class="run">
      <Header page={page} />
      <Tabs label="Views of the run" tabs={TABS} />
      <div role="tabpanel" aria-labelledby={`tab-tab-${chosenTab(TABS)}`}>
        <Panel page={page} />
      </div>
    </article>
  );
}

function Header({ page }: { page: RunPage }) {
  const run = page.run.value;
  if (!run) return null;
  const story = storyOf(run, page.open.value, page.launch.value, page.waits.value, page.counts.value, now.value);
  const why = story.why ?? "";
  const lines = why.trim().split("\n").length;
  return (
    <header class={`run-head state-${(run.state_type ?? "PENDING").toLowerCase()}`}>
      <div class="run-title">
        <div>
          <p class="crumbs">
            <a href={at.runs(`flow:${run.flow_name}`)}>{run.flow_name}</a>
            {run.deployment_id && (
              <>
                {" · "}
                <a href={at.deployment(run.deployment_id)}>deployment</a>
              </>
            )}
            {run.flow_run_id && (
              <>
                {" · called by "}
                <a href={at.run(run.flow_run_id)}>another flow run</a>
              </>
            )}
          </p>
          <h1>
            {run.name} <StateBadge type={run.state_type} name={run.state_name} big />
          </h1>
        </div>
        <Actions page={page} />
      </div>
      <dl class="story">
        <div>
          <dt>Now</dt>
          <dd>{story.doing}</dd>
        </div>
        {why && (
          <div>
            <dt>Why</dt>
            <dd>
              <span class="why">{lines > 1 ? lastLine(why) : why}</span>
              {stopping(run.state) && <span class="quiet"> {stopping(run.state)}</span>}
              {lines > 1 && (
                <details>
                  <summary>All of it</summary>
                  <pre class="code">{why}</pre>
                </details>
              )}
            </dd>
          </div>
        )}
        {story.where && (
          <div>
            <dt>Where</dt>
            <dd>
              <code class="where">{story.where}</code>
              {story.stack.length > 1 && (
                <details>
                  <summary>The lines that led there</summary>
                  <pre class="code">{story.stack.join("\n")}</pre>
                </details>
              )}
            </dd>
          </div>
        )}
        {story.next && (
          <div>
            <dt>Next</dt>
            <dd>{story.next}</dd>
          </div>
        )}
        {page.open.value?.text && (
          <div>
            <dt>Asked</dt>
            <dd class="asked">{page.open.value.text}</dd>
          </div>
        )}
        {story.warning && (
          <div class="warning">
            <dt>Mind</dt>
            <dd>{story.warning}</dd>
          </div>
        )}
      </dl>
      <p class="run-meta">
        <Copy text={run.id} label="the id">
          <code>{run.id}</code>
        </Copy>
        <Tags tags={run.tags} link={(tag) => at.runs(`tag:${tag}`)} />
        <Tallies counts={page.counts.value} />
        <Commands commands={commandsOf(run.id)} />
      </p>
    </header>
  );
}

function Tallies({ counts }: { counts: Record<string, number> }) {
  const all = Object.values(counts).reduce((sum, each) => sum + each, 0);
  if (!all) return null;
  const text = Object.entries(counts).map(([name, each]) => `${count(each)} ${name}`);
  return (
    <span class="quiet">
      {many(all, "task run")}: {text.join(", ")}
    </span>
  );
}

function Actions({ page }: { page: RunPage }) {
  const asks = useSignal<"cancel" | "resume" | "pause" | "retry" | null>(null);
  const run = page.run.value;
  const type = run?.state_type ?? "PENDING";
  const over = FINAL.has(type);
  const close = () => (asks.value = null);
  useKeys(
    [
      { keys: "c", does: "cancel the run", run: () => !over && may("operator") && (asks.value = "cancel") },
      { keys: "p", does: "resume the run, where it waits", run: () => type === "PAUSED" && may("operator") && (asks.value = "resume") },
    ],
    [type],
  );
  if (!run) return null;
  return (
    <div class="actions">
      {type === "PAUSED" && (
        <Button kind="main" needs="operator" does={() => (asks.value = "resume")}>
          {page.open.value?.approval ? "Decide" : "Resume"}
        </Button>
      )}
      {type === "RUNNING" && (
        <Button needs="operator" does={() => (asks.value = "pause")}>
          Pause
        </Button>
      )}
      {over && type !== "COMPLETED" && (
        <Button needs="operator" does={() => (asks.value = "retry")}>
          Retry
        </Button>
      )}
      {!over && (
        <Button kind="danger" needs="operator" does={() => (asks.value = "cancel")}>
          Cancel
        </Button>
      )}
      {asks.value === "cancel" && (
        <Cancelling
          ids={[run.id]}
          title={`Cancel ${run.name}`}
          close={close}
          done={(found) => {
            if (found[0]?.run) page.take(found[0].run);
          }}
        />
      )}
      {asks.value === "resume" && <Answering run={run} pause={page.open.value} close={close} done={(found) => page.take(found)} />}
      {asks.value === "pause" && <Pausing page={page} close={close} />}
      {asks.value === "retry" && <Retrying page={page} close={close} />}
    </div>
  );
}

function Pausing({ page, close }: { page: RunPage; close: () => void }) {
  const minutes = useSignal("60");
  const suspend = useSignal(false);
  const refused = useSignal<string | null>(null);
  const timeout = minutes.value.trim() === "" ? null : Number(minutes.value) * 60;
  const wrong = timeout !== null && !(timeout > 0);
  async function pause(): Promise<void> {
    try {
      page.take(await pauseFlowRun({ id: page.id, timeout, suspend: suspend.value }));
      say("It is asked to wait before its next task.");
      close();
    } catch (error) {
      refused.value = sentence(error);
    }
  }
  return (
    <Dialog title={`Pause ${page.run.value?.name}`} close={close}>
      <p>What is at work comes to its end; the run waits before its next task.</p>
      <div class="field inline">
        <label for="minutes">Minutes it waits at most (empty: for ever)</label>
        <input id="minutes" class="short" inputMode="decimal" aria-invalid={wrong} value={minutes.value} onInput={(event) => (minutes.value = event.currentTarget.value)} />
      </div>
      <label class="check">
        <input type="checkbox" checked={suspend.value} onChange={() => (suspend.value = !suspend.value)} /> Suspend: end its process, and start it
        again when it is resumed
      </label>
      <Problem text={refused.value} />
      <footer>
        <Button kind="main" needs="operator" disabled={wrong} does={pause}>
          Pause
        </Button>
      </footer>
    </Dialog>
  );
}

function Retrying({ page, close }: { page: RunPage; close: () => void }) {
  const refused = useSignal<string | null>(null);
  const checked = useSignal(false);
  useEffect(() => {
    checkFlowRunRetry({ id: page.id, elsewhere: true }).then(
      () => (checked.value = true),
      (error) => (refused.value = sentence(error)),
    );
  }, []);
  async function retry(): Promise<void> {
    try {
      page.take(await retryFlowRun({ id: page.id }));
      say("It is entered again.");
      close();
    } catch (error) {
      refused.value = sentence(error);
    }
  }
  const launched = !!page.run.value?.deployment_id;
  return (
    <Dialog title={`Retry ${page.run.value?.name}`} close={close}>
      <p>The run is entered again from its begin; tasks that completed are not run again.</p>
      {!launched && (
        <p>
          It was started as a program of its own, where the server cannot start one. There:{" "}
          <Copy text={`penstock flow-run retry ${page.id}`} />
        </p>
      )}
      <Problem text={refused.value} />
      <footer>
        <Button kind="main" needs="operator" disabled={!launched || !checked.value} does={retry}>
          Retry
        </Button>
      </footer>
    </Dialog>
  );
}

function Panel({ page }: { page: RunPage }) {
  const run = page.run.value;
  if (!run) return null;
  switch (chosenTab(TABS)) {
    case "graph":
      return <GraphPanel page={page} />;
    case "logs":
      return <LogsPanel page={page} />;
    case "parameters":
      return <Values values={run.parameters} none="It was called without arguments." />;
    case "result":
      return <Result result={run.result ?? null} over={page.isOver.value} />;
    case "artifacts":
      return <Artifacts flowRun={run.id} />;
    case "states":
      return <StatePath states={run.states ?? []} />;
    case "infrastructure":
      return <Infrastructure run={run} launch={page.launch.value} />;
    default:
      return <TimelinePanel page={page} />;
  }
}

const CHIPS: StateType[] = ["RUNNING", "COMPLETED", "FAILED", "CRASHED", "CANCELLED", "SCHEDULED", "PENDING", "PAUSED"];

function TimelinePanel({ page }: { page: RunPage }) {
  const run = page.run.value;
  const types = (query.value.get("states") ?? "").split(",").filter((each): each is StateType => CHIPS.includes(each as StateType));
  const text = query.value.get("name") ?? "";
  const chosen = query.value.get("task");
  const opened = (query.value.get("open") ?? "").split("\n").filter(Boolean);
  useEffect(() => page.choose(types, text, opened), [page, types.join(), text, opened.join("\n")]);
  const rows = page.rows.value;
  void rows.version.value;
  if (!run) return null;
  const first = rows.all[0]?.segments[0]?.start;
  const start = Math.min(millis(run.start_time) ?? millis(run.created) ?? now.value, first ?? Number.POSITIVE_INFINITY);
  const folded = rows.folds.value.reduce((sum, each) => sum + (each.opened ? 0 : each.total), 0);
  const toggle = (type: StateType) => {
    const next = types.includes(type) ? types.filter((each) => each !== type) : [...types, type];
    setQuery({ states: next.join(",") || null });
  };
  return (
    <>
      <div class="toolbar">
        <input
          type="search"
          data-search
          aria-label="Name of task runs"
          placeholder="Name of task runs"
          value={text}
          onChange={(event) => setQuery({ name: event.currentTarget.value })}
        />
        <span class="chips" role="group" aria-label="States">
          {CHIPS.map((type) => (
            <button key={type} type="button" class={`chip state-${type.toLowerCase()}`} aria-pressed={types.includes(type)} onClick={() => toggle(type)}>
              <span class="glyph" aria-hidden="true">
                {glyphOf(type)}
              </span>{" "}
              {type.toLowerCase()}
            </button>
          ))}
        </span>
        <span class="quiet">
          {rows.loading.value ? "reading… " : ""}
          {rows.more.value ? `the first ${count(MOST_ROWS)} of many` : many(rows.all.length + folded, "run")}
          {folded > 0 ? `, ${count(folded)} of them folded` : ""}
        </span>
      </div>
      <Problem text={rows.trouble.value} retry={() => rows.load()} />
      {!rows.all.length && !rows.folds.value.length && !rows.loading.value && (
        <p class="empty">{types.length || text ? "No task run fits." : "It has called no task."}</p>
      )}
      {(rows.all.length > 0 || run.start_time) && (
        <div class={chosen ? "panes" : ""}>
          <Timeline
            own={rowOf(run)}
            rows={rows}
            start={start}
            end={millis(run.end_time)}
            chosen={chosen}
            open={(of) => setQuery({ open: (opened.includes(of) ? opened.filter((each) => each !== of) : [...opened, of]).join("\n") })}
            choose={(row) => (row.kind === "flow" ? go(at.run(row.id)) : setQuery({ task: row.id }))}
          />
          {chosen && <Inspector page={page} id={chosen} />}
        </div>
      )}
    </>
  );
}

function GraphPanel({ page }: { page: RunPage }) {
  const chosen = query.value.get("task");
  return (
    <div class={chosen ? "panes" : ""}>
      <Graph
        flowRun={page.id}
        version={page.run.value?.version ?? 0}
        running={!page.isOver.value}
        chosen={chosen}
        choose={(id, kind) => (kind === "flow" ? go(at.run(id)) : setQuery({ task: id }))}
      />
      {chosen && <Inspector page={page} id={chosen} />}
    </div>
  );
}

function LogsPanel({ page }: { page: RunPage }) {
  const task = query.value.get("task");
  const row = task ? page.rows.value.all.find((each) => each.id === task) : undefined;
  return <Logs flowRun={page.id} taskRun={task} taskName={row?.name ?? null} />;
}

function commandsOf(id: string) {
  return [
    { does: "Read it", cli: `penstock flow-run inspect ${id}`, rest: curl("GET", `/flow_runs/${id}`) },
    { does: "Follow its log", cli: `penstock flow-run logs ${id} --follow`, rest: curl("GET", `/flow_runs/${id}/logs/download`) },
    { does: "Cancel it", cli: `penstock flow-run cancel ${id}`, rest: curl("POST", `/flow_runs/${id}/cancel`, {}) },
    { does: "Pause it", cli: `penstock flow-run pause ${id}`, rest: curl("POST", `/flow_runs/${id}/pause`, { timeout: 3600 }) },
    { does: "Resume it", cli: `penstock flow-run resume ${id}`, rest: curl("POST", `/flow_runs/${id}/resume`, {}) },
    { does: "Retry it", cli: `penstock flow-run retry ${id}`, rest: curl("POST", `/flow_runs/${id}/retry`, {}) },
  ];
}
