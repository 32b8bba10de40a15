// The latest runs of a deployment as a strip: a bar a run, as high as it took long, in the colour of its state.
import { filterFlowRuns, type FlowRun } from "../generated/api";
import { useLoaded } from "../load";
import { at } from "../route";
import { millis, now, span } from "../words";

const RUNS = 16;

export function History({ deployment, runs = RUNS }: { deployment: string; runs?: number }) {
  const { value } = useLoaded(() => read(deployment, runs), [deployment, runs], 10);
  const found = value.value;
  if (!found) return <span class="strip" />;
  if (!found.length) return <span class="quiet">never ran</span>;
  const longest = Math.max(1, ...found.map(taken));
  return (
    <span class="strip">
      {found.map((run) => (
        <a
          key={run.id}
          href={at.run(run.id)}
          tabIndex={-1}
          class={`strip-bar state-${(run.state_type ?? "PENDING").toLowerCase()}`}
          style={{ height: `${20 + (taken(run) / longest) * 80}%` }}
          title={`${run.name}: ${run.state_name}, ${span(taken(run))}`}
          aria-label={`${run.name}: ${run.state_name}`}
        />
      ))}
    </span>
  );
}

async function read(deployment: string, runs: number): Promise<FlowRun[]> {
  const page = await filterFlowRuns({ filter: { deployment_id: deployment }, limit: runs * 2 });
  return page.items.filter((each) => each.state_type !== "SCHEDULED").slice(0, runs).reverse();
}

function taken(run: FlowRun): number {
  const start = millis(run.start_time);
  return start === null ? 0 : (millis(run.end_time) ?? now.peek()) - start;
}
