// How many runs were made when, by the state they are in now. A bar is a stretch of time: a click searches in it.
import { useEffect } from "preact/hooks";
import { flowRunHistory, type Interval, type RunFilter, type StateType } from "../generated/api";
import { LOOKS } from "../generated/states";
import { useLoaded } from "../load";
import { briefly, count, millis, now, span } from "../words";

const BARS = 60;
const HEIGHT = 56;
const STEPS = [60, 300, 600, 1200, 1800, 3600, 7200, 14_400, 43_200, 86_400, 172_800, 604_800, 2_592_000];

interface Props {
  filter: RunFilter;
  /** Changes when it is to be read again. */
  turn: number;
  choose: (start: number, end: number) => void;
}

export function Histogram({ filter, turn, choose }: Props) {
  const { value, reload } = useLoaded(() => read(filter), [JSON.stringify(filter)], 30);
  useEffect(() => void (value.peek() && reload()), [turn]);
  const found = value.value;
  if (!found) return <div class="histogram" />;
  const totals = found.map((each) => each.states.reduce((sum, state) => sum + state.count, 0));
  const most = Math.max(1, ...totals);
  const all = totals.reduce((sum, each) => sum + each, 0);
  const first = millis(found[0]?.start) ?? 0;
  const last = millis(found.at(-1)?.end) ?? 0;
  return (
    <figure class="histogram" aria-label={`${count(all)} runs between ${briefly(first)} and ${briefly(last)}`}>
      <div class="bars">
        {found.map((each, index) => (
          <button
            key={each.start}
            type="button"
            class="histogram-bar"
            tabIndex={-1}
            aria-label={title(each, totals[index] ?? 0)}
            title={title(each, totals[index] ?? 0)}
            disabled={!totals[index]}
            onClick={() => choose(millis(each.start) ?? 0, millis(each.end) ?? 0)}
          >
            {byType(each).map(([type, runs]) => (
              <span
                key={type}
                class={`histogram-part state-${type.toLowerCase()}`}
                style={{ height: `${Math.max((runs / most) * HEIGHT, 2)}px` }}
              />
            ))}
          </button>
        ))}
      </div>
      <figcaption class="quiet">
        <span>{briefly(first)}</span>
        <span>
          {count(all)} in {span(last - first)}, a bar is {span((last - first) / found.length)}
        </span>
        <span>{briefly(last)}</span>
      </figcaption>
    </figure>
  );
}

async function read(filter: RunFilter): Promise<Interval[]> {
  const end = millis(filter.before) ?? now.peek();
  const start = millis(filter.after) ?? end - 86_400_000;
  const step = STEPS.find((each) => (end - start) / 1000 / each <= BARS) ?? 31_536_000;
  const width = step * 1000;
  // Bars stand still while time goes on: they begin at round moments.
  const zone = new Date(end).getTimezoneOffset() * 60_000;
  const from = Math.floor((start - zone) / width) * width + zone;
  const to = from + Math.ceil((end - from) / width + 0.001) * width;
  return flowRunHistory({ start: new Date(from).toISOString(), end: new Date(to).toISOString(), interval_seconds: step, filter });
}

function byType(interval: Interval): [StateType, number][] {
  const found = new Map<StateType, number>();
  for (const each of interval.states) found.set(each.state_type, (found.get(each.state_type) ?? 0) + each.count);
  const order = Object.keys(LOOKS);
  return [...found].sort((one, other) => order.indexOf(one[0]) - order.indexOf(other[0]));
}

function title(interval: Interval, total: number): string {
  const states = interval.states.map((each) => `${count(each.count)} ${each.state_name}`).join(", ");
  return `${briefly(millis(interval.start) ?? 0)}: ${count(total)}${states && ` – ${states}`}`;
}
