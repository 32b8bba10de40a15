// The stream: what changes, each change once and in order. It comes again by itself, from where it was, so that nothing
// is missed; what cannot be caught up is read anew.
import { signal } from "@preact/signals";
import { reachable } from "./ask";
import type { FlowRun, RunFilter, TaskRun } from "./generated/api";

export type Connection = "live" | "connecting" | "away";
/** How the page's stream is doing; a dot shows it. */
export const connection = signal<Connection>("live");

export interface Heard {
  /** A flow run as it is now. */
  flowRun?: (run: FlowRun) => void;
  taskRun?: (run: TaskRun) => void;
  deleted?: (id: string) => void;
  /** The stream begins, or begins anew: what is on the page has to be read. */
  begun: () => void;
}

export interface Asked {
  flow_run?: string;
  filter?: RunFilter;
}

const SOONEST = 300;
const LATEST = 5_000;
const open = new Set<Stream>();

class Stream {
  private socket: WebSocket | null = null;
  private cursor: string | null = null;
  private wait = SOONEST;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private closed = false;
  state: Connection = "connecting";

  constructor(
    private readonly asked: Asked,
    private readonly heard: Heard,
  ) {
    open.add(this);
    show();
    this.connect();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
    open.delete(this);
    show();
  }

  private connect(): void {
    if (this.closed) return;
    const fields = new URLSearchParams();
    if (this.asked.flow_run) fields.set("flow_run", this.asked.flow_run);
    if (this.asked.filter) fields.set("filter", JSON.stringify(this.asked.filter));
    if (this.cursor) fields.set("cursor", this.cursor);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/stream?${fields}`);
    this.socket = socket;
    socket.onmessage = (message) => {
      this.become("live");
      reachable.value = true;
      this.wait = SOONEST;
      this.take(JSON.parse(message.data as string));
    };
    socket.onclose = () => this.again();
  }

  private again(): void {
    if (this.closed) return;
    this.become("away");
    // Not all pages of the world at the same moment.
    this.timer = setTimeout(() => this.connect(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, LATEST);
  }

  private take(said: { event: string; cursor: string; data: unknown }): void {
    if (said.cursor) this.cursor = said.cursor;
    const { heard } = this;
    if (said.event === "flow_run") heard.flowRun?.(said.data as FlowRun);
    else if (said.event === "task_run") heard.taskRun?.(said.data as TaskRun);
    else if (said.event === "deleted") heard.deleted?.((said.data as { id: string }).id);
    else if (said.event === "begin" || said.event === "reset") heard.begun();
  }

  private become(state: Connection): void {
    if (this.state === state) return;
    this.state = state;
    show();
  }
}

function show(): void {
  const states = new Set([...open].map((each) => each.state));
  if (states.has("away")) connection.value = "away";
  else if (states.has("connecting")) connection.value = "connecting";
  else connection.value = states.size ? "live" : reachable.value ? "live" : "away";
}

/** Follows what is asked until the function that is given back is called. */
export function follow(asked: Asked, heard: Heard): () => void {
  const stream = new Stream(asked, heard);
  return () => stream.close();
}
