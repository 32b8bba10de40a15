// A run's log: only the lines that are seen are on the page. It follows the end until somebody scrolls away from it.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { LogFilter, LogLine } from "../generated/api";
import { isParted, Log } from "../log";
import { query, setQuery } from "../route";
import { clock, count, day, millis } from "../words";
import { Problem } from "./notices";

const LINE = 18;
const SPARE = 600;
export const LEVELS: [number, string][] = [
  [0, "all levels"],
  [10, "DEBUG"],
  [20, "INFO"],
  [30, "WARNING"],
  [40, "ERROR"],
  [50, "CRITICAL"],
];

interface Props {
  flowRun: string;
  /** Lines of this task run only. */
  taskRun?: string | null;
  taskName?: string | null;
}

export function Logs({ flowRun, taskRun, taskName }: Props) {
  const level = Number(query.value.get("level") ?? 0) || 0;
  const text = query.value.get("text") ?? "";
  const task = query.value.get("of") ?? "";
  const log = useMemo(() => {
    const filter: LogFilter = {};
    if (level) filter.level = level;
    if (text) filter.containing = text;
    if (taskRun) filter.task_run_id = taskRun;
    else if (task) filter.task = task;
    return new Log(flowRun, filter);
  }, [flowRun, level, text, task, taskRun]);
  const wrap = useSignal(localStorage.getItem("wrap") !== "no");
  return (
    <section class="logs" aria-label="Log">
      <div class="toolbar">
        <Searching value={text} />
        <select
          aria-label="Least level"
          value={level}
          onChange={(event) => setQuery({ level: event.currentTarget.value === "0" ? null : event.currentTarget.value })}
        >
          {LEVELS.map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
        {taskRun ? (
          <button type="button" title="Show the whole run's log" onClick={() => setQuery({ task: null })}>
            {taskName ?? "task run"} ✕
          </button>
        ) : (
          task && (
            <button type="button" title="Show all tasks' lines" onClick={() => setQuery({ of: null })}>
              {task} ✕
            </button>
          )
        )}
        <label class="check">
          <input
            type="checkbox"
            checked={wrap.value}
            onChange={() => {
              wrap.value = !wrap.value;
              localStorage.setItem("wrap", wrap.value ? "yes" : "no");
            }}
          />{" "}
          wrap
        </label>
        <a class="button" href={`/api/flow_runs/${flowRun}/logs/download`} download>
          Download
        </a>
      </div>
      <Lines log={log} wrap={wrap.value} />
    </section>
  );
}

function Searching({ value }: { value: string }) {
  const timer = useRef<ReturnType<typeof setTimeout>>();
  return (
    <input
      type="search"
      data-search
      placeholder="Search the log"
      aria-label="Search the log"
      value={value}
      onInput={(event) => {
        const text = event.currentTarget.value;
        clearTimeout(timer.current);
        timer.current = setTimeout(() => setQuery({ text, line: null }), 250);
      }}
    />
  );
}

function Lines({ log, wrap }: { log: Log; wrap: boolean }) {
  const box = useRef<HTMLDivElement>(null);
  const probe = useRef<HTMLSpanElement>(null);
  const top = useSignal(0);
  const size = useSignal({ width: 800, height: 400, letter: 7.8 });
  const following = useSignal(!query.peek().get("line"));
  const chosen = Number(query.value.get("line") ?? -1);
  void log.version.value;

  useEffect(() => {
    const line = query.peek().get("line");
    following.value = !line;
    if (line) void log.around(Number(line)).then(() => bring(Number(line)));
    else void log.follow();
    return () => log.stop();
  }, [log]);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () => {
      const letter = (probe.current?.getBoundingClientRect().width ?? 78) / 10;
      size.value = { width: element.clientWidth, height: element.clientHeight, letter };
    };
    const sizes = new ResizeObserver(measure);
    sizes.observe(element);
    return () => sizes.disconnect();
  }, []);

  // Of what a line has beside its message, letters: time, level, task.
  const narrow = size.value.width < 600;
  const head = narrow ? 13 : 44;
  const columns = wrap ? Math.max(20, Math.floor((size.value.width - 24) / size.value.letter) - head) : 0;
  // Heights that are not what letters of one width would have: of emoji, tabs, other scripts.
  const odd = useMemo(() => new Map<number, number>(), [log, columns]);
  const measured = useSignal(0);
  const tops = useMemo(() => topsOf(log.lines, columns, odd), [log.version.value, columns, log, measured.value]);
  const total = tops[log.lines.length] ?? 0;

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    if (following.value) element.scrollTop = element.scrollHeight;
    else if (log.shifted) {
      // What is looked at stays where it is, whatever was put before it.
      const gone = log.shifted < 0 ? -log.shifted * LINE : -(tops[log.shifted] ?? 0);
      element.scrollTop -= gone;
    }
    log.shifted = 0;
    top.value = element.scrollTop;
  }, [log.version.value, columns, size.value.height]);

  useLayoutEffect(() => {
    let changed = false;
    for (const element of box.current?.querySelectorAll<HTMLElement>("[data-at]") ?? []) {
      const at = Number(element.dataset.at);
      const line = log.lines[at];
      const height = element.offsetHeight;
      if (!line || height === (tops[at + 1] ?? 0) - (tops[at] ?? 0)) continue;
      odd.set(line.seq, height);
      changed = true;
    }
    if (changed) measured.value++;
  });

  function bring(seq: number): void {
    const at = log.lines.findIndex((each) => each.seq >= seq);
    if (at >= 0 && box.current) box.current.scrollTop = (topsOf(log.lines, columns, odd)[at] ?? 0) - size.value.height / 2;
  }

  function scrolled(element: HTMLElement): void {
    top.value = element.scrollTop;
    const left = element.scrollHeight - element.scrollTop - element.clientHeight;
    following.value = left < 4 && log.atEnd;
    if (element.scrollTop < 1500) void log.earlier();
    if (left < 1500 && !log.atEnd) void log.later();
  }

  const first = Math.max(0, place(tops, log.lines.length, top.value - SPARE) - 1);
  const last = Math.min(log.lines.length, place(tops, log.lines.length, top.value + size.value.height + SPARE) + 1);
  return (
    <>
      <Problem text={log.trouble.value} />
      <div class="log-frame">
        <div
          class={`log${wrap ? " wrap" : ""}`}
          ref={box}
          tabIndex={0}
          role="log"
          aria-label="Lines of the log"
          aria-live="off"
          onScroll={(event) => scrolled(event.currentTarget)}
        >
          <span class="probe" ref={probe} aria-hidden="true">
            0000000000
          </span>
          <div class="log-area" style={{ height: `${total}px` }}>
            {log.lines.slice(first, last).map((line, index) => (
              <Line
                key={line.seq}
                line={line}
                at={first + index}
                task={log.nameOf(line.task_run_id)}
                top={tops[first + index] ?? 0}
                chosen={line.seq === chosen}
                narrow={narrow}
                parted={isParted(log.lines[first + index - 1], line)}
              />
            ))}
          </div>
          {!log.lines.length && !log.loading.value && <p class="quiet log-nothing">No lines{isFiltered() ? " that fit" : ""}.</p>}
        </div>
        {!following.value && log.lines.length > 0 && (
          <button
            type="button"
            class="to-end"
            onClick={() => {
              setQuery({ line: null });
              following.value = true;
              void log.follow();
              if (box.current) box.current.scrollTop = box.current.scrollHeight;
            }}
          >
            ↓ follow the end
          </button>
        )}
      </div>
      <p class="quiet small">
        {log.atStart ? "" : "…"}
        {count(log.lines.length)} lines here{log.atStart && log.atEnd ? ", that is all" : "; scroll for more"}
        {following.value ? " · following" : ""}
      </p>
    </>
  );
}

function isFiltered(): boolean {
  return ["level", "text", "of", "task"].some((each) => query.peek().get(each));
}

interface LineProps {
  line: LogLine;
  /** Its place among the lines that are kept. */
  at: number;
  task: string | null;
  top: number;
  chosen: boolean;
  narrow: boolean;
  parted: boolean;
}

function Line({ line, at, task, top, chosen, narrow, parted }: LineProps) {
  const time = millis(line.timestamp) ?? 0;
  const level = levelName(line.level);
  return (
    <div
      data-at={at}
      class={`line level-${level.toLowerCase()}${chosen ? " chosen" : ""}`}
      style={{ transform: `translateY(${top}px)` }}
    >
      {parted && <div class="parted">the run was entered again</div>}
      <button
        type="button"
        class="line-time"
        title={`${day(time)} ${clock(time, "ms")}${line.file ? ` – ${line.file}:${line.line}` : ""}; a link to this line`}
        onClick={() => setQuery({ line: String(line.seq) })}
      >
        {clock(time, "ms")}
      </button>
      {!narrow && <span class="line-level">{level}</span>}
      {!narrow &&
        (task ? (
          <button type="button" class="line-task" title={`Only the lines of ${task}`} onClick={() => setQuery({ task: line.task_run_id, line: null })}>
            {task}
          </button>
        ) : (
          <span class="line-task" />
        ))}
      <span class="line-text">{plain(line.message)}</span>
    </div>
  );
}

function levelName(level: number): string {
  let found = "DEBUG";
  for (const [value, name] of LEVELS) if (value && level >= value) found = name;
  return found;
}

/** Where each line begins; behind the last one, where they end. Lines are of letters of one width. */
function topsOf(lines: LogLine[], columns: number, odd: ReadonlyMap<number, number>): Float64Array {
  const tops = new Float64Array(lines.length + 1);
  let top = 0;
  for (const [index, line] of lines.entries()) {
    tops[index] = top;
    top += odd.get(line.seq) ?? rowsOf(plain(line.message), columns) * LINE + (isParted(lines[index - 1], line) ? LINE : 0);
  }
  tops[lines.length] = top;
  return tops;
}

const SEQUENCES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;?]*[A-Za-z]`, "g");

/** A message without the colours and moves of terminals. */
function plain(text: string): string {
  return text.includes("\u001b") ? text.replace(SEQUENCES, "") : text;
}

function rowsOf(text: string, columns: number): number {
  if (!text.includes("\n")) return columns ? Math.max(1, Math.ceil(text.length / columns)) : 1;
  let rows = 0;
  for (const each of text.split("\n")) rows += columns ? Math.max(1, Math.ceil(each.length / columns)) : 1;
  return rows;
}

/** The first line that begins at or below `at`. */
function place(tops: Float64Array, length: number, at: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((tops[middle] as number) < at) low = middle + 1;
    else high = middle;
  }
  return low;
}
