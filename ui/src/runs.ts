// A list of flow runs that fit a search: read in pages, and kept as the stream says they are. A run that does not fit
// any more stays where it is until the list is read again: what somebody points at does not move.
import { signal } from "@preact/signals";
import { sentence } from "./ask";
import { countFlowRuns, filterFlowRuns, type FlowRun, type RunFilter } from "./generated/api";
import { follow } from "./live";
import { fitsStates } from "./search";

const PAGE = 100;
const RECOUNT = 3_000;

export class RunList {
  items: FlowRun[] = [];
  readonly version = signal(0);
  readonly loading = signal(true);
  readonly trouble = signal<string | null>(null);
  readonly total = signal<number | null>(null);
  /** Runs that came while somebody pointed at the list. */
  readonly held = signal(0);
  next: string | null = null;
  private holding = false;
  private waiting = new Map<string, FlowRun>();
  private due = false;
  private stopped = false;
  private leave: () => void = () => {};
  private counting: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly filter: RunFilter,
    private readonly changed: () => void = () => {},
  ) {}

  start(): void {
    const { state_names: _names, state_types: _types, ...rest } = this.filter;
    this.leave = follow(
      { filter: rest },
      {
        begun: () => void this.read(),
        flowRun: (run) => this.hear(run),
        deleted: (id) => this.remove(id),
      },
    );
    // It does not wait for the stream, which may have to come again first.
    void this.read();
  }

  stop(): void {
    this.stopped = true;
    this.leave();
    clearTimeout(this.counting);
  }

  async read(): Promise<void> {
    try {
      const page = await filterFlowRuns({ filter: this.filter, limit: PAGE });
      if (this.stopped) return;
      this.items = page.items;
      this.next = page.next ?? null;
      this.trouble.value = null;
      this.waiting.clear();
      this.held.value = 0;
    } catch (error) {
      this.trouble.value = sentence(error);
    }
    this.loading.value = false;
    this.version.value++;
    this.recount(0);
  }

  async readMore(): Promise<void> {
    if (!this.next) return;
    try {
      const page = await filterFlowRuns({ filter: this.filter, limit: PAGE, cursor: this.next });
      const known = new Set(this.items.map((each) => each.id));
      this.items.push(...page.items.filter((each) => !known.has(each.id)));
      this.next = page.next ?? null;
    } catch (error) {
      this.trouble.value = sentence(error);
    }
    this.version.value++;
  }

  /** While somebody points at the list, nothing new moves it. */
  hold(is: boolean): void {
    this.holding = is;
    if (!is) this.draw();
  }

  fits(run: FlowRun): boolean {
    return fitsStates(this.filter, run);
  }

  private hear(run: FlowRun): void {
    this.waiting.set(run.id, run);
    this.recount(RECOUNT);
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.draw();
    });
  }

  private draw(): void {
    for (const [id, run] of this.waiting) {
      const at = this.items.findIndex((each) => each.id === id);
      const known = this.items[at];
      if (known) {
        if ((run.version ?? 0) >= (known.version ?? 0)) this.items[at] = run;
      } else if (!this.fits(run) || this.isBehind(run)) {
        // of a page that is not read yet
      } else if (this.holding) continue;
      else this.insert(run);
      this.waiting.delete(id);
    }
    this.held.value = this.waiting.size;
    this.version.value++;
  }

  private insert(run: FlowRun): void {
    let at = 0;
    while (at < this.items.length && (this.items[at] as FlowRun).id > run.id) at++;
    this.items.splice(at, 0, run);
  }

  private isBehind(run: FlowRun): boolean {
    const last = this.items.at(-1);
    return !!this.next && !!last && run.id < last.id;
  }

  private remove(id: string): void {
    this.items = this.items.filter((each) => each.id !== id);
    this.version.value++;
    this.recount(RECOUNT);
  }

  private recount(after: number): void {
    if (this.counting !== undefined) return;
    this.counting = setTimeout(async () => {
      try {
        this.total.value = (await countFlowRuns({ filter: this.filter })).count;
        this.changed();
      } catch {
        // the list says why
      }
      this.counting = undefined;
    }, after);
  }
}
