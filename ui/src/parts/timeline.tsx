// Time is the x axis: a row a task run, what it did as bars, what it waited for hatched. Only the rows that are seen
// are on the page, however many there are.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Fold, Row, Rows, Segment } from "../rows";
import { clock, count, now, span } from "../words";
import { glyphOf } from "./state";

const ROW = 24;
const SPARE = 12;
const LEAST_BAR = 6;
/** The room that a moment takes on the axis. */
const TICK = 110;

interface Props {
  /** The flow run itself: what is below it happened in it. */
  own: Row;
  rows: Rows;
  /** From when, and until when (null: now). */
  start: number;
  end: number | null;
  chosen: string | null;
  choose: (row: Row) => void;
  /** Opens the row of a task with many runs, or closes it. */
  open: (task: string) => void;
}

export function Timeline({ own, rows, start, end, chosen, choose, open }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(400);
  const width = useSignal(1000);
  // Of a run that goes on the latest is looked at, until somebody looks elsewhere.
  const stuck = useRef(end === null);
  const zoom = useSignal<[number, number] | null>(null);
  const drag = useSignal<[number, number] | null>(null);
  void rows.version.value;
  const until = end ?? Math.max(now.value, start + 1000);
  const [from, to] = zoom.value ?? [start, until];

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const sizes = new ResizeObserver(() => {
      height.value = element.clientHeight;
      width.value = element.clientWidth;
    });
    sizes.observe(element);
    return () => sizes.disconnect();
  }, []);

  useLayoutEffect(() => {
    if (stuck.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [rows.all.length, height.value]);

  const first = Math.max(0, Math.floor(top.value / ROW) - SPARE);
  const last = Math.min(rows.all.length, Math.ceil((top.value + height.value) / ROW) + SPARE);
  const shown = rows.all.slice(first, last);
  const share = (at: number) => ((at - from) / (to - from)) * 100;
  const timeAt = (event: PointerEvent) => {
    const area = (event.currentTarget as Element).getBoundingClientRect();
    return from + ((event.clientX - area.left) / area.width) * (to - from);
  };

  return (
    <div class="timeline">
      <div class="axis">
        <span class="axis-label quiet">
          {zoom.value ? (
            <button type="button" class="bare" onClick={() => (zoom.value = null)}>
              ↔ whole run
            </button>
          ) : (
            "drag to zoom"
          )}
        </span>
        <div
          class="axis-area"
          onPointerDown={(event) => {
            const at = timeAt(event);
            event.currentTarget.setPointerCapture(event.pointerId);
            drag.value = [at, at];
          }}
          onPointerMove={(event) => {
            if (drag.value) drag.value = [drag.value[0], timeAt(event)];
          }}
          onPointerUp={() => {
            if (drag.value && Math.abs(drag.value[1] - drag.value[0]) > (to - from) / 100)
              zoom.value = [Math.min(...drag.value), Math.max(...drag.value)];
            drag.value = null;
          }}
        >
          {ticks(from, to, Math.max(1, Math.floor((width.value * 0.75) / TICK))).map((at) => (
            <span key={at} class="tick" style={{ left: `${share(at)}%` }}>
              {to - from > 172_800_000 ? new Date(at).toLocaleDateString() : clock(at, to - from < 5_000 ? "ms" : "s")}
            </span>
          ))}
          {drag.value && (
            <span
              class="dragged"
              style={{
                left: `${share(Math.min(...drag.value))}%`,
                width: `${share(Math.max(...drag.value)) - share(Math.min(...drag.value))}%`,
              }}
            />
          )}
        </div>
      </div>
      <div class={`row own state-${own.type.toLowerCase()}`}>
        <span class="row-name">
          <span class="glyph" aria-hidden="true">
            {glyphOf(own.type)}
          </span>
          {own.name}
        </span>
        <span class="row-area">
          {own.segments.map((segment) => (
            <Bar key={segment.start} segment={segment} until={until} share={share} />
          ))}
        </span>
      </div>
      {rows.folds.value.map((fold) => (
        <FoldRow key={fold.of} fold={fold} open={open} />
      ))}
      <div
        class="rows"
        ref={box}
        tabIndex={0}
        role="listbox"
        aria-label="Task runs in the order in which they were made"
        aria-activedescendant={chosen ? `row-${chosen}` : undefined}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          top.value = scrollTop;
          stuck.current = end === null && scrollHeight - scrollTop - clientHeight < ROW;
        }}
        onKeyDown={(event) => {
          const by = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 15, PageUp: -15 }[event.key];
          if (!by || !box.current) return;
          event.preventDefault();
          event.stopPropagation();
          const at = rows.all.findIndex((row) => row.id === chosen);
          const next = Math.min(Math.max(at + by, 0), rows.all.length - 1);
          const row = rows.all[next];
          if (!row) return;
          const { scrollTop, clientHeight } = box.current;
          if (next * ROW < scrollTop) box.current.scrollTop = next * ROW;
          else if ((next + 1) * ROW > scrollTop + clientHeight) box.current.scrollTop = (next + 1) * ROW - clientHeight;
          choose(row);
        }}
      >
        <div style={{ height: `${rows.all.length * ROW}px` }} class="rows-area">
          {shown.map((row, index) => (
            <div
              key={row.id}
              id={`row-${row.id}`}
              role="option"
              aria-selected={row.id === chosen}
              class={`row state-${row.type.toLowerCase()}${row.id === chosen ? " chosen" : ""}`}
              style={{ top: `${(first + index) * ROW}px` }}
              onClick={() => choose(row)}
            >
              <span class="row-name" title={`${row.name} – ${row.state}`}>
                <span class="glyph" aria-hidden="true">
                  {glyphOf(row.type)}
                </span>
                <span class="hidden">{row.state} </span>
                {row.kind === "flow" && <span class="tag">flow</span>}
                {row.name}
                {row.attempts > 1 && <span class="quiet"> ×{row.attempts}</span>}
              </span>
              <span class="row-area">
                {row.segments.map((segment) => (
                  <Bar key={segment.start} segment={segment} until={until} share={share} />
                ))}
              </span>
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

/** Many runs of one task in one row: how many are in which state, as shares of its width. */
function FoldRow({ fold, open }: { fold: Fold; open: (task: string) => void }) {
  const text = fold.states.map((each) => `${count(each.count)} ${each.state_name}`).join(", ");
  return (
    <button type="button" class="row fold" aria-expanded={fold.opened} title={`${fold.of}: ${text}`} onClick={() => open(fold.of)}>
      <span class="row-name">
        <span aria-hidden="true">{fold.opened ? "▾" : "▸"}</span> {fold.of} <span class="quiet">× {count(fold.total)}</span>
      </span>
      <span class="row-area">
        <span class="shares" aria-hidden="true">
          {fold.states.map((each) => (
            <span key={each.state_name} class={`share state-${each.state_type.toLowerCase()}`} style={{ flexGrow: each.count }} />
          ))}
        </span>
        <span class="share-text">{text}</span>
      </span>
    </button>
  );
}

function Bar({ segment, until, share }: { segment: Segment; until: number; share: (at: number) => number }) {
  const end = segment.end ?? until;
  const left = Math.max(share(segment.start), -1);
  const right = Math.min(share(end), 101);
  if (right < 0 || left > 100) return null;
  const waits = ["SCHEDULED", "PENDING", "PAUSED"].includes(segment.type);
  return (
    <span
      class={`bar state-${segment.type.toLowerCase()}${waits ? " waits" : ""}`}
      style={{ left: `${left}%`, width: `max(${right - left}%, ${waits ? 0 : LEAST_BAR}px)` }}
      title={`${segment.name} for ${span(end - segment.start)}, from ${clock(segment.start, "ms")}`}
    />
  );
}

/** Round moments of a stretch of time, not more than find room. */
function ticks(from: number, to: number, most: number): number[] {
  const steps = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5,
    6048e5, 2592e6,
  ];
  const step = steps.find((each) => (to - from) / each <= most) ?? 31_536e6;
  const found: number[] = [];
  for (let at = Math.ceil(from / step) * step; at < to; at += step) found.push(at);
  return found;
}
