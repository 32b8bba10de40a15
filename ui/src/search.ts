// The search of runs: words and qualifiers as people type them, and the filter that they mean. The text is in the
// address, so that a search can be kept and sent to somebody.
import type { FlowRun, RunFilter, StateType } from "./generated/api";
import { LOOKS, NAMES } from "./generated/states";

export interface Search {
  filter: RunFilter;
  /** What is no filter, in a sentence. */
  problem: string | null;
}

export const QUALIFIERS: [string, string][] = [
  ["state:TimedOut", "in this state; several: any of them"],
  ["type:FAILED", "in a state of this type"],
  ["flow:etl", "of this flow"],
  ["tag:nightly", "with this tag; several: all of them"],
  ["deployment:ID", "made from this deployment"],
  ["after:1d", "created since then: 90s, 30m, 2h, 1d, or a date"],
  ["before:2026-11-01", "created before then"],
  ["in:ID", "called by this flow run"],
  ["is:root", "called by no other flow run"],
  ["anything else", "is a part of the name; with spaces in it: \"so\""],
];

const TOKEN = /(?:([a-z]+):)?(?:"([^"]*)"|(\S+))/gi;
const ID = /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

/** The parts of a search: qualifier (empty: none) and value. */
export function tokens(text: string): [string, string][] {
  return [...text.matchAll(TOKEN)].map((each) => {
    const known = each[1] && KNOWN.has(each[1].toLowerCase());
    if (each[1] && !known) return ["", each[0]];
    return [(each[1] ?? "").toLowerCase(), each[2] ?? each[3] ?? ""];
  });
}

const KNOWN = new Set(["state", "type", "flow", "tag", "deployment", "after", "before", "in", "is", "name"]);

export function searchOf(text: string, now: number): Search {
  const filter: RunFilter = {};
  let problem: string | null = null;
  const names: string[] = [];
  const add = (field: "state_names" | "state_types" | "flow_names" | "tags", value: string) => {
    filter[field] = [...((filter[field] as string[] | undefined) ?? []), value] as never;
  };
  for (const [key, value] of tokens(text)) {
    switch (key) {
      case "state": {
        const name = Object.keys(NAMES).find((each) => each.toLowerCase() === value.toLowerCase());
        if (name) add("state_names", name);
        else problem = `There is no state ${value}; there are ${Object.keys(NAMES).join(", ")}.`;
        break;
      }
      case "type": {
        const type = value.toUpperCase();
        if (type in LOOKS) add("state_types", type);
        else problem = `There is no type of state ${value}; there are ${Object.keys(LOOKS).join(", ")}.`;
        break;
      }
      case "flow":
        add("flow_names", value);
        break;
      case "tag":
        add("tags", value);
        break;
      case "deployment":
      case "in":
        if (!ID.test(value)) problem = `${key}:${value} is no id.`;
        else filter[key === "in" ? "flow_run_id" : "deployment_id"] = value;
        break;
      case "after":
      case "before": {
        const at = momentOf(value, now);
        if (at === null) problem = `${key}:${value} is not a time; write 90s, 30m, 2h, 1d, or 2026-11-27, 2026-11-27T14:00.`;
        else filter[key] = new Date(at).toISOString();
        break;
      }
      case "is":
        if (value === "root") filter.roots = true;
        else problem = `is:${value} means nothing; is:root does.`;
        break;
      default:
        names.push(value);
    }
  }
  if (names.length) filter.name_contains = names.join(" ");
  return { filter, problem };
}

const SPAN = /^(?:\d+[wdhms])+$/i;
const UNITS: Record<string, number> = { w: 604_800, d: 86_400, h: 3_600, m: 60, s: 1 };

export function momentOf(text: string, now: number): number | null {
  if (SPAN.test(text)) {
    let seconds = 0;
    for (const [, count, unit] of text.matchAll(/(\d+)([wdhms])/gi)) seconds += Number(count) * (UNITS[(unit as string).toLowerCase()] ?? 0);
    return now - seconds * 1000;
  }
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return null;
  // A date alone is midnight here, not in Greenwich.
  const at = new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text).getTime();
  return Number.isNaN(at) ? null : at;
}

/** A search with one part more, or without it where it was there. */
export function toggled(text: string, key: string, value: string): string {
  const part = `${key}:${/\s/.test(value) ? `"${value}"` : value}`;
  const parts = text.match(new RegExp(TOKEN.source, "gi")) ?? [];
  const left = parts.filter((each) => each.toLowerCase() !== part.toLowerCase());
  return (left.length < parts.length ? left : [...parts, part]).join(" ");
}

/** A search with other values of some qualifiers; null takes them away. */
export function withParts(text: string, values: Record<string, string | null>): string {
  const parts = (text.match(new RegExp(TOKEN.source, "gi")) ?? []).filter((each) => !(each.split(":")[0] as string in values && each.includes(":")));
  for (const [key, value] of Object.entries(values)) if (value !== null) parts.push(`${key}:${value}`);
  return parts.join(" ");
}

/** Whether a run is in a state that is wanted: the one thing of a run that changes while a list is looked at. */
export function fitsStates(filter: RunFilter, run: FlowRun): boolean {
  const types = (filter.state_types ?? []) as StateType[];
  const names = filter.state_names ?? [];
  return (!types.length || types.includes(run.state_type as StateType)) && (!names.length || names.includes(run.state_name ?? ""));
}
