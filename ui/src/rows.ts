// The rows of a run's timeline: its task runs and subflow runs, as little of each as is drawn, in the order in which
// they were made.
import { signal } from "@preact/signals";
import {
  countTaskRunsOfFlowRunByTask, filterFlowRuns, filterTaskRuns, type FlowRun, type RunFilter, type State, type StateCount, type StateType,
  type TaskRun,
} from "./generated/api";
import { FINAL } from "./generated/states";
import { millis } from "./words";

/** More rows than this are a list of its own: a filter finds them. */
export const MOST_ROWS = 10_000;
/** Runs of one task that are more than this are one row, until somebody opens it. */
export const FOLD_ABOVE = 50;
const FIRST_PAGE = 200;
const PAGE = 1000;

/** What a run did from `start` to `end` (null: it still does): the type of its state then. */
export interface Segment {
  type: StateType;
  name: string;
  start: number;
  end: number | null;
}

export interface Row {
  id: string;
  kind: "task" | "flow";
  name: string;
  /** The task's or flow's name. */
  of: string;
  type: StateType;
  state: string;
  segments: Segment[];
  attempts: number;
  version: number;
}

/** What was at work, waited or was paused, by the states that a run went through. */
export function segmentsOf(states: State[]): Segment[] {
  const found: Segment[] = [];
  for (const [index, state] of states.entries()) {
    const start = millis(state.timestamp);
    if (start === null || FINAL.has(state.type)) continue;
    const next = states[index + 1];
    const end = next ? millis(next.timestamp) : null;
    const last = found.at(-1);
    // An attempt that is tried again did not come to what it should.
    if (last?.type === "RUNNING" && state.name === "AwaitingRetry") last.type = "FAILED";
    if (last && last.type === state.type && last.name === state.name && last.end === start) last.end = end;
    else found.push({ type: state.type, name: state.name ?? state.type, start, end });
  }
  // A run of which only its end is recorded is a point.
  const only = states[0];
  if (!found.length && only) {
    const at = millis(only.timestamp) ?? 0;
    found.push({ type: only.type, name: only.name ?? only.type, start: at, end: at });
  }
  return found;
}

export function rowOf(run: TaskRun | FlowRun): Row {
  const states = run.states ?? [];
  const state = states.at(-1);
  const type = state?.type ?? "PENDING";
  const segments = segmentsOf(states);
  // What ended badly ends in its own colour.
  const last = segments.at(-1);
  if (last && last.type === "RUNNING" && FINAL.has(type)) last.type = type;
  return {
    id: run.id,
    kind: "task_name" in run ? "task" : "flow",
    name: run.name,
    of: "task_name" in run ? run.task_name : run.flow_name,
    type,
    state: state?.name ?? type,
    segments,
    attempts: run.run_count ?? 0,
    version: run.version ?? 0,
  };
}

export interface RowFilter {
  types: StateType[];
  text: string;
  /** Tasks of which each run is shown, however many they are. */
  opened?: string[];
}

/** A task with many runs: how many are in which state. */
export interface Fold {
  of: string;
  total: number;
  states: StateCount[];
  opened: boolean;
}

export class Rows {
  readonly all: Row[] = [];
  /** Changes with the rows, at most once a frame. */
  readonly version = signal(0);
  readonly loading = signal(true);
  readonly more = signal(false);
  readonly trouble = signal<string | null>(null);
  readonly folds = signal<Fold[]>([]);
  private readonly places = new Map<string, Row>();
  private stopped = false;
  private due = false;

  constructor(
    private readonly flowRun: string,
    private readonly filter: RowFilter,
  ) {}

  /** Reads them, the first few at once. Reading again adds what is new. */
  async load(): Promise<void> {
    this.loading.value = true;
    try {
      const shown = await this.fold();
      await Promise.all([this.pages(filterTaskRuns, shown), this.pages(filterFlowRuns)]);
      this.trouble.value = null;
    } catch (error) {
      this.trouble.value = (error as Error).message;
    }
    this.loading.value = false;
  }

  /** Counts the runs of each task; those of a task with many leave the list. Gives the tasks whose runs stay in it, or
   * null for all. */
  async fold(): Promise<string[] | null> {
    if (this.filter.types.length || this.filter.text) return null;
    const counts = await countTaskRunsOfFlowRunByTask({ id: this.flowRun });
    const opened = new Set(this.filter.opened);
    const folds = counts
      .map(({ task_name: of, states }) => ({
        of, states, total: states.reduce((sum, each) => sum + each.count, 0), opened: opened.has(of),
      }))
      .filter((each) => each.total > FOLD_ABOVE);
    if (this.stopped) return null;
    this.folds.value = folds;
    if (!folds.length) return null;
    const closed = new Set(folds.filter((each) => !each.opened).map((each) => each.of));
    for (const row of this.all.filter((each) => each.kind === "task" && closed.has(each.of))) this.delete(row.id);
    return counts.map((each) => each.task_name).filter((of) => !closed.has(of));
  }

  async loadSubflows(): Promise<void> {
    await this.pages(filterFlowRuns).catch(() => {}); // it is tried again
  }

  stop(): void {
    this.stopped = true;
  }

  put(run: TaskRun | FlowRun): void {
    const row = rowOf(run);
    const known = this.places.get(row.id);
    if (known) {
      if (row.version < known.version) return;
      Object.assign(known, row);
    } else {
      if (!this.fits(row)) return;
      if (this.all.length >= MOST_ROWS) {
        this.more.value = true;
        return;
      }
      this.places.set(row.id, row);
      this.insert(row);
    }
    this.changed();
  }

  delete(id: string): void {
    const row = this.places.get(id);
    if (!row) return;
    this.places.delete(id);
    this.all.splice(this.all.indexOf(row), 1);
    this.changed();
  }

  private async pages(read: typeof filterTaskRuns | typeof filterFlowRuns, tasks: string[] | null = null): Promise<void> {
    const filter: RunFilter = { flow_run_id: this.flowRun };
    if (tasks?.length === 0) return;
    if (tasks) filter.task_names = tasks;
    if (this.filter.types.length) filter.state_types = this.filter.types;
    if (this.filter.text) filter.name_contains = this.filter.text;
    let cursor: string | null | undefined;
    let limit = FIRST_PAGE;
    do {
      const page = await read({ filter, limit, cursor, oldest_first: true });
      if (this.stopped) return;
      for (const run of page.items) this.put(run);
      cursor = page.next;
      limit = PAGE;
    } while (cursor && this.all.length < MOST_ROWS);
    if (cursor) this.more.value = true;
  }

  private fits(row: Row): boolean {
    const { types, text } = this.filter;
    if (row.kind === "task" && this.folds.peek().some((each) => each.of === row.of && !each.opened)) return false;
    return (!types.length || types.includes(row.type)) && row.name.toLowerCase().includes(text.toLowerCase());
  }

  // Ids are in the order of their making: nearly always the new one is the last.
  private insert(row: Row): void {
    let at = this.all.length;
    while (at > 0 && (this.all[at - 1] as Row).id > row.id) at--;
    this.all.splice(at, 0, row);
  }

  private changed(): void {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.version.value++;
    });
  }
}
