// A piece of a run's log, which grows at either end as somebody scrolls, and at its end as the run writes.
import { signal } from "@preact/signals";
import { sentence } from "./ask";
import { filterLogs, followLogs, type LogFilter, type LogLine, type TaskNames } from "./generated/api";

/** As many lines are kept; the ones farthest from what is looked at go first, and are read again when they are. */
export const MOST_LINES = 20_000;
const PIECE = 500;
const PATIENCE = 25;
// The lines of a run that was entered again are numbered from the next multiple of this; those of processes that were
// forked from it from another on.
const ATTEMPT = 2 ** 20;
const FORKED = 2 ** 32;

/** Whether the run was entered again between two lines that follow one another. */
export function isParted(before: LogLine | undefined, line: LogLine): boolean {
  return (
    !!before && line.seq < FORKED && line.seq !== before.seq + 1 && Math.floor(line.seq / ATTEMPT) > Math.floor(before.seq / ATTEMPT)
  );
}

export class Log {
  lines: LogLine[] = [];
  readonly tasks = new Map<string, TaskNames>();
  readonly version = signal(0);
  readonly trouble = signal<string | null>(null);
  readonly loading = signal(true);
  /** Whether what is kept reaches the log's begin, and its end. */
  atStart = false;
  atEnd = false;
  /** How many lines were put before the others, and taken away there, since the log was last drawn. */
  shifted = 0;
  private turn = 0;
  private busy = false;
  private position: string | null = null;

  constructor(
    private readonly flowRun: string,
    private readonly filter: LogFilter,
  ) {}

  /** The end of the log, and what is written from then on. */
  async follow(): Promise<void> {
    const turn = ++this.turn;
    this.position = null;
    this.loading.value = !this.lines.length;
    let pause = 0;
    while (turn === this.turn) {
      if (document.hidden) {
        await visible();
        continue;
      }
      try {
        const first = this.position === null;
        const news = await followLogs({
          flow_run_id: this.flowRun,
          filter: this.filter,
          last: first ? PIECE : null,
          position: this.position,
          wait: first ? 0 : PATIENCE,
        });
        if (turn !== this.turn) return;
        this.trouble.value = null;
        this.position = news.position;
        this.take(news.items, news.tasks, first);
        this.loading.value = false;
        if (news.settled && !news.more) return;
        pause = news.again && !news.items.length ? news.again * 1000 : 0;
      } catch (error) {
        if (turn !== this.turn) return;
        this.trouble.value = sentence(error);
        this.loading.value = false;
        pause = 2000;
      }
      if (pause) await new Promise((done) => setTimeout(done, pause));
    }
  }

  /** The log around a line. */
  async around(seq: number): Promise<void> {
    const turn = ++this.turn;
    this.loading.value = true;
    try {
      const asked = { flow_run_id: this.flowRun, filter: this.filter, limit: PIECE };
      const [before, after] = await Promise.all([
        filterLogs({ ...asked, before: seq, backwards: true }),
        filterLogs({ ...asked, after: seq - 1 }),
      ]);
      if (turn !== this.turn) return;
      this.lines = [...before.items.reverse(), ...after.items];
      this.know(before.tasks);
      this.know(after.tasks);
      this.atStart = !before.next;
      this.atEnd = !after.next;
      this.trouble.value = null;
    } catch (error) {
      this.trouble.value = sentence(error);
    }
    this.loading.value = false;
    this.version.value++;
  }

  /** More lines before those that are kept. */
  async earlier(): Promise<void> {
    const first = this.lines[0];
    if (this.atStart || !first || this.busy) return;
    await this.quietly(async (turn) => {
      const page = await filterLogs({
        flow_run_id: this.flowRun, filter: this.filter, limit: PIECE, before: first.seq, backwards: true,
      });
      if (turn !== this.turn) return;
      this.know(page.tasks);
      this.lines = [...page.items.reverse(), ...this.lines];
      this.shifted += page.items.length;
      this.atStart = !page.next;
      if (this.lines.length > MOST_LINES) {
        // The end is read again when somebody goes there.
        this.turn++;
        this.lines.length = MOST_LINES - PIECE;
        this.atEnd = false;
      }
    });
  }

  /** More lines behind them, where they do not reach the end. */
  async later(): Promise<void> {
    const last = this.lines.at(-1);
    if (this.atEnd || !last || this.busy) return;
    await this.quietly(async (turn) => {
      const page = await filterLogs({ flow_run_id: this.flowRun, filter: this.filter, limit: PIECE, after: last.seq });
      if (turn !== this.turn) return;
      this.know(page.tasks);
      this.lines.push(...page.items);
      this.trim();
      this.atEnd = !page.next;
      if (this.atEnd) void this.follow();
    });
  }

  stop(): void {
    this.turn++;
  }

  nameOf(id: string | null): string | null {
    return id ? (this.tasks.get(id)?.name ?? null) : null;
  }

  private async quietly(work: (turn: number) => Promise<void>): Promise<void> {
    this.busy = true;
    try {
      await work(this.turn);
    } catch (error) {
      this.trouble.value = sentence(error);
    }
    this.busy = false;
    this.version.value++;
  }

  private take(lines: LogLine[], tasks: Record<string, TaskNames>, first: boolean): void {
    this.know(tasks);
    if (first) {
      const known = this.lines.at(-1)?.seq ?? -1;
      const begin = lines[0]?.seq ?? 0;
      // What is kept is gone on with where the two meet; otherwise it is begun anew.
      if (this.lines.length && begin <= known) lines = lines.filter((each) => each.seq > known);
      else if (lines.length) {
        this.lines = [];
        this.atStart = lines.length < PIECE;
      } else this.atStart = !this.lines.length || this.atStart;
      this.atEnd = true;
    }
    if (lines.length) {
      const last = this.lines.at(-1)?.seq ?? -1;
      this.lines.push(...lines);
      // A line that came late stands where it belongs.
      if ((lines[0] as LogLine).seq < last) this.lines.sort((one, other) => one.seq - other.seq);
      this.trim();
    }
    this.version.value++;
  }

  private trim(): void {
    if (this.lines.length <= MOST_LINES) return;
    const gone = this.lines.length - MOST_LINES + PIECE;
    this.lines = this.lines.slice(gone);
    this.shifted -= gone;
    this.atStart = false;
  }

  private know(tasks: Record<string, TaskNames>): void {
    for (const [id, names] of Object.entries(tasks)) this.tasks.set(id, names);
  }
}

function visible(): Promise<void> {
  return new Promise((done) => document.addEventListener("visibilitychange", () => done(), { once: true }));
}
