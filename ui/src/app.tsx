// The frame: the way to every view, who is signed in, whether what is seen is live.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { unknownSince } from "./ask";
import { filterPauses } from "./generated/api";
import { knownKeys, moveRow, useKeys } from "./keys";
import { connection } from "./live";
import { useLoaded } from "./load";
import { Dialog } from "./parts/dialog";
import { attempt, Empty, Notices } from "./parts/notices";
import { go, path, query } from "./route";
import { findOut, me, signOut } from "./session";
import { nextTheme } from "./theme";
import { zone } from "./words";
import { ApprovalsView } from "./views/approvals";
import { BlocksView } from "./views/blocks";
import { DeploymentView } from "./views/deployment";
import { DeploymentsView } from "./views/deployments";
import { LimitsView } from "./views/limits";
import { PoolsView } from "./views/pools";
import { RunView } from "./views/run";
import { RunsView } from "./views/runs";
import { SignInView } from "./views/sign_in";
import { SystemView } from "./views/system";
import { TaskRunView } from "./views/task_run";

const PLACES: { path: string; title: string; key: string }[] = [
  { path: "/runs", title: "Runs", key: "r" },
  { path: "/deployments", title: "Deployments", key: "d" },
  { path: "/work-pools", title: "Work pools", key: "w" },
  { path: "/limits", title: "Limits", key: "l" },
  { path: "/blocks", title: "Blocks & variables", key: "b" },
  { path: "/approvals", title: "Approvals", key: "a" },
  { path: "/system", title: "System", key: "s" },
];

export function App() {
  const unknown = unknownSince.value;
  useEffect(() => void (unknown && me.peek() && findOut().catch(() => {})), [unknown]);
  if (me.value === undefined) return <p class="quiet loading">…</p>;
  if (me.value === null) return <SignInView />;
  return <Frame />;
}

function Frame() {
  const help = useSignal(false);
  useKeys([
    ...PLACES.map((each) => ({ keys: `g ${each.key}`, does: `go to ${each.title}`, run: () => go(each.path) })),
    { keys: "/", does: "search", run: () => document.querySelector<HTMLElement>("[data-search]")?.focus() },
    { keys: "j", does: "the next row", run: () => moveRow(1) },
    { keys: "k", does: "the row before", run: () => moveRow(-1) },
    { keys: "t", does: "light or dark", run: nextTheme },
    { keys: "?", does: "show the keys", run: () => (help.value = true) },
  ]);
  // On a narrow screen the views do not all find room: the present one is to be seen.
  useEffect(() => {
    document.querySelector("header.frame nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [path.value]);
  return (
    <>
      <a class="skip" href="#view" onClick={() => document.getElementById("view")?.focus()}>
        Skip to the view
      </a>
      <header class="frame">
        <a class="brand" href="/runs">
          Penstock
        </a>
        <nav aria-label="Views">
          {PLACES.map((each) => (
            <a key={each.path} href={each.path} aria-current={isAt(each.path) ? "page" : undefined}>
              {each.title}
              {each.path === "/approvals" && <WaitingCount />}
            </a>
          ))}
        </nav>
        <div class="frame-end">
          <ConnectionDot />
          <button type="button" class="bare" aria-label="Light or dark" title="Light or dark (t)" onClick={nextTheme}>
            ◐
          </button>
          <button type="button" class="bare" aria-label="Keys" title="Keys (?)" onClick={() => (help.value = true)}>
            ?
          </button>
          <Who />
        </div>
      </header>
      <main id="view" tabIndex={-1}>
        <View />
      </main>
      <footer class="frame-foot quiet">
        Times are of {zone}. <a href="/docs">REST API</a>
      </footer>
      <Notices />
      {help.value && <Keys close={() => (help.value = false)} />}
    </>
  );
}

function isAt(place: string): boolean {
  const first = path.value.split("/")[1] ?? "";
  const mine = place.slice(1);
  return first === mine || (mine === "runs" && ["", "flow-runs", "task-runs"].includes(first));
}

function View() {
  const [, first = "", ...rest] = path.value.split("/");
  // The field's own addresses, with its kinds in them, and short ones.
  const id = decoded(rest.at(-1) ?? "");
  switch (first) {
    case "":
      return <RunsView />;
    case "runs":
    case "flow-runs":
      return rest.length && id ? rest[0] === "task-run" ? <TaskRunView id={id} /> : <RunView key={id} id={id} /> : <RunsView />;
    case "task-runs":
      return <TaskRunView id={id} />;
    case "deployments":
      return id ? <DeploymentView key={id} id={id} /> : <DeploymentsView />;
    case "work-pools":
      return <PoolsView chosen={id || null} />;
    case "limits":
      return <LimitsView />;
    case "blocks":
      return <BlocksView />;
    case "approvals":
      return <ApprovalsView />;
    case "system":
      return <SystemView />;
    case "sign-in": {
      const then = query.value.get("then") ?? "/runs";
      go(/^\/(?!\/)/.test(then) ? then : "/runs");
      return null;
    }
    default:
      return (
        <Empty title="There is nothing at this address.">
          <a href="/runs">To the runs</a>
        </Empty>
      );
  }
}

/** A part of an address; as it stands, where it is not well formed. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function WaitingCount() {
  const { value } = useLoaded(() => filterPauses({ limit: 100 }), [], 10);
  const found = value.value?.items.length ?? 0;
  return found ? <span class="count">{found >= 100 ? "99+" : found}</span> : null;
}

const CONNECTIONS = { live: "live", connecting: "connecting…", away: "reconnecting…" };

function ConnectionDot() {
  const state = connection.value;
  return (
    <span class={`dot ${state}`} role="status" title="Whether what you see is live">
      <span aria-hidden="true">●</span> <span class="dot-text">{CONNECTIONS[state]}</span>
    </span>
  );
}

function Who() {
  const found = me.value;
  if (!found?.sign_in) return null;
  return (
    <span class="who">
      <span title={found.role}>
        {found.name ?? found.who} <span class="quiet">{found.role}</span>
      </span>{" "}
      <button type="button" class="bare" onClick={() => void attempt(signOut)}>
        Sign out
      </button>
    </span>
  );
}

function Keys({ close }: { close: () => void }) {
  return (
    <Dialog title="Keys" close={close}>
      <dl class="keys">
        {knownKeys().map((each) => (
          <div key={each.keys}>
            <dt>
              {each.keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{each.does}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
