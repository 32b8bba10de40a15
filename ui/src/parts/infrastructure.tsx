// Where a run's code is, and who started it.
import type { FlowRun, Launch } from "../generated/api";
import { at } from "../route";
import { millis, moment } from "../words";
import { Copy } from "./button";
import { Fact, Facts, Json } from "./facts";

const time = (text: string | null | undefined) => {
  const found = millis(text);
  return found === null ? null : moment(found);
};

export function Infrastructure({ run, launch }: { run: FlowRun; launch: Launch | null }) {
  const { holder, entrypoint } = run;
  return (
    <section>
      <h3>Process</h3>
      {holder ? (
        <Facts>
          <Fact name="Host">{holder.host}</Fact>
          <Fact name="Process">{holder.pid}</Fact>
          <Fact name="Infrastructure">{run.infrastructure_pid && <Copy text={run.infrastructure_pid} />}</Fact>
          <Fact name="Times out">{time(run.deadline)}</Fact>
          <Fact name="Entered">{`${run.epoch ?? 0} ×`}</Fact>
        </Facts>
      ) : (
        <p class="quiet">No process holds it{run.infrastructure_pid ? ` (it was ${run.infrastructure_pid})` : ""}.</p>
      )}
      {entrypoint && (
        <>
          <h3>Program</h3>
          <Facts>
            <Fact name="File">{entrypoint.path}</Fact>
            <Fact name="Function">{entrypoint.function}</Fact>
            <Fact name="Started as">{entrypoint.argv?.length ? <code>{entrypoint.argv.join(" ")}</code> : null}</Fact>
            <Fact name="Directory">{entrypoint.directory}</Fact>
            <Fact name="Python">{entrypoint.python}</Fact>
          </Facts>
        </>
      )}
      {launch && (
        <>
          <h3>Launch</h3>
          <Facts>
            <Fact name="Work pool">{launch.work_pool && <a href={at.pool(launch.work_pool)}>{launch.work_pool}</a>}</Fact>
            <Fact name="Queue">{launch.work_queue}</Fact>
            <Fact name="Due">{time(launch.scheduled)}</Fact>
            <Fact name="Claimed">{time(launch.claimed)}</Fact>
            <Fact name="Launched">{time(launch.launched)}</Fact>
            <Fact name="Where">{launch.place && <Copy text={`${launch.place.type} ${launch.place.scope}:${launch.place.id}`} />}</Fact>
            <Fact name="Exit code">{launch.exit_code}</Fact>
            <Fact name="Ended">{time(launch.ended)}</Fact>
            <Fact name="Problem">{launch.problem}</Fact>
          </Facts>
          {launch.configuration && (
            <details>
              <summary>What it was launched with</summary>
              <Json value={launch.configuration} />
            </details>
          )}
        </>
      )}
    </section>
  );
}
