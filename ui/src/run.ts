// A flow run as its page has it: read once, and kept as the stream says it is.
import { computed, type Signal, signal } from "@preact/signals";
import { sentence } from "./ask";
import {
  countTaskRunsOfFlowRun, filterPauses, type FlowRun, type Launch, type Pause, readFlowRun, readLaunch, type StateType, type TaskRun, type Why,
  whyFlowRunWaits,
} from "./generated/api";
import { FINAL } from "./generated/states";
import { follow } from "./live";
import { type RowFilter, Rows } from "./rows";

const RECOUNT = 1_000;

export class RunPage {
  readonly run = signal<FlowRun | null>(null);
  readonly trouble = signal<string | null>(null);
  readonly gone = signal(false);
  readonly pauses = signal<Pause[]>([]);
  readonly launch = signal<Launch | null>(null);
  /** Why it has not begun, while it waits. */
  readonly waits = signal<Why | null>(null);
  readonly counts = signal<Record<string, number>>({});
  readonly rows: Signal<Rows>;
  /** The task run that was heard of last: what shows it reads it again. */
  readonly heard = signal<TaskRun | null>(null);
  readonly open = computed(() => this.pauses.value.find((each) => !each.answer) ?? null);
  readonly isOver = computed(() => {
    const type = this.run.value?.state_type;
    return !!type && FINAL.has(type);
  });
  private leave: () => void = () => {};
  private counting: ReturnType<typeof setTimeout> | undefined;
  private stale = false;
  private polling: ReturnType<typeof setInterval> | undefined;

  constructor(readonly id: string) {
    this.rows = signal(new Rows(id, { types: [], text: "" }));
  }

  start(): void {
    void this.read();
    void this.readAround();
    this.leave = follow(
      { flow_run: this.id },
      {
        begun: () => {
          void this.read();
          void this.rows.peek().load();
          this.recount();
        },
        flowRun: (run) => this.take(run),
        taskRun: (run) => {
          this.rows.peek().put(run);
          this.heard.value = run;
          this.recount();
        },
        deleted: (id) => (id === this.id ? (this.gone.value = true) : this.rows.peek().delete(id)),
      },
    );
    // Subflow runs are heard of by their own streams; here they are looked at.
    // (Why it waits changes without a word from the run: others end, workers come and go.)
    this.polling = setInterval(() => {
      if (!document.hidden && this.waits.peek()) void this.readWhy();
      const rows = this.rows.peek();
      if (!document.hidden && !this.isOver.peek() && rows.all.some((each) => each.kind === "flow")) void rows.loadSubflows();
    }, 2_000);
  }

  stop(): void {
    this.leave();
    clearTimeout(this.counting);
    clearInterval(this.polling);
    this.rows.peek().stop();
  }

  /** Shows the task runs that fit. */
  choose(types: StateType[], text: string, opened: string[]): void {
    this.rows.peek().stop();
    const filter: RowFilter = { types, text, opened };
    this.rows.value = new Rows(this.id, filter);
    void this.rows.value.load();
  }

  take(run: FlowRun): void {
    if (run.id !== this.id) return;
    const before = this.run.peek();
    if (before && (run.version ?? 0) < (before.version ?? 0)) return;
    // A list has no result's bytes: what was read is kept.
    const inline = run.result?.inline ?? before?.result?.inline;
    this.run.value = run.result && inline ? { ...run, result: { ...run.result, inline } } : run;
    if (before?.state?.timestamp !== run.state?.timestamp) {
      void this.readAround();
      this.recount();
      if (run.state_type && FINAL.has(run.state_type)) {
        void this.rows.peek().loadSubflows();
        if (run.result && !inline) void this.read();
      }
    }
  }

  async read(): Promise<void> {
    try {
      this.take(await readFlowRun({ id: this.id }));
      this.trouble.value = null;
    } catch (error) {
      this.trouble.value = sentence(error);
    }
  }

  /** What else is known of it: its pauses, and its infrastructure. */
  private async readAround(): Promise<void> {
    const run = this.run.peek();
    void this.readWhy();
    try {
      const [pauses, launch] = await Promise.all([
        filterPauses({ flow_run_id: this.id }),
        run?.deployment_id ? readLaunch({ id: this.id }).catch(() => null) : null,
      ]);
      this.pauses.value = pauses.items.map((each) => each.pause);
      this.launch.value = launch;
    } catch {
      // The run itself says why the server gives nothing.
    }
  }

  private async readWhy(): Promise<void> {
    const isWaiting = () => ["SCHEDULED", "PENDING"].includes(this.run.peek()?.state_type ?? "");
    const found = isWaiting() ? await whyFlowRunWaits({ id: this.id }).catch(() => null) : null;
    this.waits.value = isWaiting() ? found : null;
  }

  /** Counts the task runs now, or, where that was done a moment ago, in a moment. */
  private recount(): void {
    if (this.counting !== undefined) {
      this.stale = true;
      return;
    }
    this.stale = false;
    countTaskRunsOfFlowRun({ id: this.id }).then(
      (counts) => (this.counts.value = counts),
      () => {}, // as above
    );
    void this.rows.peek().fold().catch(() => {}); // as above
    this.counting = setTimeout(() => {
      this.counting = undefined;
      if (this.stale) this.recount();
    }, RECOUNT);
  }
}
