// Times, spans and numbers as people read them. Times are shown in the reader's zone, which the page names.
import { signal } from "@preact/signals";

/** The present moment, each second: what is shown of a running thing goes on with it. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);
document.addEventListener("visibilitychange", () => {
  now.value = Date.now();
});

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

const pad = (value: number, width = 2) => String(value).padStart(width, "0");

export function millis(text: string | null | undefined): number | null {
  const found = text ? Date.parse(text) : Number.NaN;
  return Number.isNaN(found) ? null : found;
}

export function clock(at: number, parts: "s" | "ms" = "s"): string {
  const when = new Date(at);
  const base = `${pad(when.getHours())}:${pad(when.getMinutes())}:${pad(when.getSeconds())}`;
  return parts === "ms" ? `${base}.${pad(when.getMilliseconds(), 3)}` : base;
}

export function day(at: number): string {
  const when = new Date(at);
  return `${when.getFullYear()}-${pad(when.getMonth() + 1)}-${pad(when.getDate())}`;
}

/** `2026-11-27 14:03:22` */
export function moment(at: number): string {
  return `${day(at)} ${clock(at)}`;
}

/** Today's without the day. */
export function briefly(at: number): string {
  return day(at) === day(now.value) ? clock(at) : moment(at);
}

/** `340 ms`, `4.2 s`, `3 m 12 s`, `5 h 2 m`, `4 d 3 h`. */
export function span(ms: number): string {
  if (ms < 0) ms = 0;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 59.95) return `${s.toFixed(1)} s`;
  const whole = Math.round(s);
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${whole % 60} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
  const hours = Math.round(s / 3600);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `in 3 m 12 s`, `4.2 s ago`. */
export function away(at: number, from: number = now.value): string {
  const whole = Math.round((at - from) / 1000) * 1000;
  if (Math.abs(whole) < 1000) return "now";
  const text = span(Math.abs(whole)).replace(/\.0 s$/, " s");
  return whole > 0 ? `in ${text}` : `${text} ago`;
}

export function count(n: number): string {
  return n.toLocaleString("en");
}

/** `3 runs`, `1 run`. */
export function many(n: number, one: string, more = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : more}`;
}

export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  if (n < 1024 * 1024) return `${(n / 1024).toFixed(1)} KiB`;
  return `${(n / 1024 / 1024).toFixed(1)} MiB`;
}
