// Schedules in words. The server's preview knows the times; these are for lists.
import type { DeploymentSchedule } from "./generated/api";
import { moment, millis, span } from "./words";

type AnySchedule = DeploymentSchedule["schedule"];

export function scheduleWords(schedule: AnySchedule): string {
  switch (schedule.kind) {
    case "cron":
      return `cron ${schedule.cron} (${schedule.timezone})`;
    case "interval":
      return `every ${span(schedule.interval * 1000).replace(/\.0 s$/, " s")}`;
    case "rrule":
      return `rule ${schedule.rrule.replaceAll("\n", " ")} (${schedule.timezone})`;
    default:
      return `once at ${moment(millis(schedule.at) ?? 0)}`;
  }
}
