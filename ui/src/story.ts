// A run in sentences: what it is doing, why it stopped, what happens next. Pure: of what was read, at a moment.
import type { FlowRun, Launch, Pause, State, Why } from "./generated/api";
import { FINAL } from "./generated/states";
import { away, briefly, millis, span } from "./words";

export interface Story {
  /** What it is doing, or how it ended, in a few words. */
  doing: string;
  /** Why, as the record has it. */
  why: string | null;
  /** The line of the code that was at work when it was stopped, and those that led there. */
  where: string | null;
  stack: string[];
  /** What is not as it should be. */
  warning: string | null;
  next: string | null;
}

type Details = Record<string, unknown>;

export function storyOf(
  run: FlowRun, pause: Pause | null, launch: Launch | null, waits: Why | null, counts: Record<string, number>, now: number,
): Story {
  const states = run.states ?? [];
  const state = states.at(-1);
  if (!state) return { doing: "Nothing is recorded of it.", why: null, where: null, stack: [], warning: null, next: null };
  const details = (state.details ?? {}) as Details;
  return {
    doing: doing(run, state, counts, now),
    // What the record knows now of one that waits; else what was said when its state was entered.
    why: (waits && waits.reason !== "not-waiting" ? waits.sentence : null) ?? state.message ?? null,
    where: typeof details.where === "string" ? details.where : null,
    stack: Array.isArray(details.stack) ? details.stack.map(String) : [],
    warning: warning(run, state, details, launch),
    next: next(run, state, details, pause, now),
  };
}

function doing(run: FlowRun, state: State, counts: Record<string, number>, now: number): string {
  const since = millis(state.timestamp) ?? now;
  const started = millis(run.start_time);
  const ended = millis(run.end_time);
  if (FINAL.has(state.type)) {
    const took = started !== null && ended !== null ? ` after ${span(ended - started)}` : "";
    return `${verdict(state)} ${briefly(ended ?? since)}${took}`;
  }
  const working = (counts.Running ?? 0) + (counts.Retrying ?? 0);
  const tasks = working ? `, ${working.toLocaleString("en")} task run${working === 1 ? "" : "s"} at work` : "";
  switch (state.type) {
    case "RUNNING":
      return `Running for ${span(now - (started ?? since))}${tasks}`;
    case "PAUSED":
      return `${state.name === "Suspended" ? "Suspended, without a process," : "Waiting"} for ${span(now - since)}`;
    case "CANCELLING":
      return `Being cancelled for ${span(now - since)}${tasks}`;
    case "PENDING":
      return `About to start for ${span(now - since)}`;
    default:
      return state.name === "Late" ? "Late: nobody has started it" : `${state.name ?? "Scheduled"} for ${span(now - since)}`;
  }
}

function verdict(state: State): string {
  return { COMPLETED: "Completed", FAILED: state.name === "TimedOut" ? "Timed out" : "Failed", CANCELLED: "Cancelled", CRASHED: "Crashed" }[
    state.type as string
  ] ?? state.type;
}

/** How code that was stopped came to its end, by the word in the record. */
const STOPPED: Record<string, string> = {
  raised: "its code came to its end by the exception that it was given",
  returned: "its code came to its end by itself",
  killed: "its process was killed",
  gone: "its process was gone",
  idle: "no code was at work",
  abandoned: "the run went on without its code",
};

/** How it was stopped, where it was. */
export function stopping(state: State | null | undefined): string | null {
  const details = (state?.details ?? {}) as Details;
  const how = STOPPED[String(details.stopped)];
  if (!how) return null;
  const took = typeof details.seconds_to_stop === "number" ? `, ${span(details.seconds_to_stop * 1000)} after it was told to` : "";
  return `Stopped: ${how}${took}.`;
}

function warning(run: FlowRun, state: State, details: Details, launch: Launch | null): string | null {
  if (details.confirmed === false) return "Its code is not known to have come to its end.";
  if (run.lines_lost) return `${run.lines_lost.toLocaleString("en")} lines of its log found no room anywhere and are lost.`;
  // (What keeps one that nobody has claimed is told as why it waits.)
  if (launch?.problem && launch.claimed && !FINAL.has(state.type)) return launch.problem;
  return null;
}

function next(run: FlowRun, state: State, details: Details, pause: Pause | null, now: number): string | null {
  const deadline = millis(run.deadline);
  switch (state.type) {
    case "SCHEDULED": {
      const after = Number(details.scheduled_after_seconds);
      const since = millis(state.timestamp) ?? now;
      const at = Number.isFinite(after) ? since + after * 1000 : millis(run.expected_start_time);
      if (state.name === "AwaitingConcurrencySlot") return "It goes on when a slot is free.";
      if (at === null) return null;
      const what = state.name === "AwaitingRetry" ? "It is tried again" : "It starts";
      return at > now ? `${what} ${away(at, now)}, at ${briefly(at)}.` : `${what} when somebody takes it: it is due since ${briefly(at)}.`;
    }
    case "RUNNING":
      return deadline === null ? null : `It times out ${away(deadline, now)}, at ${briefly(deadline)}.`;
    case "PAUSED":
      return pause ? afterPause(pause, now) : null;
    case "CANCELLING": {
      const grace = Number(details.grace);
      if (!Number.isFinite(grace)) return "Its code has its grace period to come to its end; then its process is killed.";
      const at = (millis(state.timestamp) ?? now) + grace * 1000;
      return `Its code has until ${briefly(at)} to come to its end; then its process is killed.`;
    }
    case "FAILED":
    case "CRASHED":
    case "CANCELLED":
      return "Nothing by itself. Retry enters it again with what is finished.";
    default:
      return null;
  }
}

function afterPause(pause: Pause, now: number): string {
  const at = millis(pause.deadline);
  const what = pause.approval ? "approved or rejected" : pause.event ? `answered by an event ${pause.event.event}` : "resumed";
  if (at === null) return `It waits until it is ${what}.`;
  const ends = { fail: "it fails", resume: "it goes on by itself", reject: "it goes on as rejected" }[pause.on_timeout ?? "fail"];
  return `It waits to be ${what}; ${away(at, now)}, at ${briefly(at)}, ${ends}.`;
}

/** The last line of an error's message: what it comes to. */
export function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)?.trim() ?? "";
}
