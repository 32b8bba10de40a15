// The address of a task run: the page of its flow run, with it chosen.
import { useEffect } from "preact/hooks";
import { readTaskRun } from "../generated/api";
import { useLoaded } from "../load";
import { Inspector } from "../parts/inspector";
import { Problem } from "../parts/notices";
import { at, go } from "../route";
import { RunPage } from "../run";

export function TaskRunView({ id }: { id: string }) {
  const { value, error, reload } = useLoaded(() => readTaskRun({ id }), [id]);
  const run = value.value;
  useEffect(() => void (run?.flow_run_id && go(at.taskRun(run.flow_run_id, id))), [run?.id]);
  if (error.value) return <Problem text={error.value} retry={reload} />;
  // A task that was called outside of a flow has no other page.
  return run && !run.flow_run_id ? <Inspector page={new RunPage(id)} id={id} /> : null;
}
