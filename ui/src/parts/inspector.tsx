// One task run, beside the timeline: its states, inputs, result, and what can be done with it.
import { useEffect } from "preact/hooks";
import { cancelTaskRun, readTaskRun } from "../generated/api";
import { FINAL } from "../generated/states";
import { useKeys } from "../keys";
import { useLoaded } from "../load";
import { at, setQuery } from "../route";
import type { RunPage } from "../run";
import { lastLine } from "../story";
import { millis, now, span } from "../words";
import { Button, Copy } from "./button";
import { Fact, Facts, Tags, Values } from "./facts";
import { attempt, Problem } from "./notices";
import { StatePath } from "./path";
import { Result } from "./result";
import { StateBadge } from "./state";

export function Inspector({ page, id }: { page: RunPage; id: string }) {
  const { value, error, reload } = useLoaded(() => readTaskRun({ id }), [id]);
  useKeys([{ keys: "Escape", does: "close the task run", run: close }], []);
  const heard = page.heard.value;
  useEffect(() => void (heard?.id === id && reload()), [heard]);
  const run = value.value;
  const names = new Map(page.rows.value.all.map((each) => [each.id, each.name]));
  const upstream = [...new Set(Object.values(run?.upstream ?? {}).flat())];
  const started = millis(run?.start_time);
  const over = !!run?.state_type && FINAL.has(run.state_type);
  return (
    <aside class="inspector" aria-label="Task run">
      <Problem text={error.value} retry={reload} />
      {run && (
        <>
          <header>
            <h2>{run.name}</h2>
            <button type="button" class="bare" aria-label="Close" onClick={close}>
              ✕
            </button>
          </header>
          <p class="inspector-head">
            <StateBadge type={run.state_type} name={run.state_name} />
            {started !== null && <span class="quiet">{span((millis(run.end_time) ?? now.value) - started)}</span>}
            {!over && (
              <Button kind="danger" needs="operator" does={() => attempt(() => cancelTaskRun({ id }), "It is told to stop; its flow goes on.")}>
                Cancel the task
              </Button>
            )}
            <a class="button" href={`${at.run(page.id)}?tab=logs&task=${id}`}>
              Its log
            </a>
          </p>
          {run.state?.message && <p class="message">{lastLine(run.state.message)}</p>}
          <Facts>
            <Fact name="Task">{run.task_name}</Fact>
            <Fact name="Attempts">{run.run_count}</Fact>
            <Fact name="Tags">{run.tags?.length ? <Tags tags={run.tags} /> : null}</Fact>
            <Fact name="Cache key">{run.cache_key}</Fact>
            <Fact name="Id">
              <Copy text={run.id} label="the id" />
            </Fact>
            <Fact name="Values from">
              {upstream.length
                ? upstream.slice(0, 20).map((each) => (
                    <a key={each} class="upstream" href={at.taskRun(page.id, each)}>
                      {names.get(each) ?? each.slice(-8)}
                    </a>
                  ))
                : null}
            </Fact>
          </Facts>
          <h3>Inputs</h3>
          <Values values={run.parameters} none="It was called without arguments." />
          <h3>Result</h3>
          <Result result={run.result ?? null} over={over} />
          <h3>States</h3>
          <StatePath states={run.states ?? []} />
        </>
      )}
    </aside>
  );

  function close(): void {
    setQuery({ task: null });
  }
}
