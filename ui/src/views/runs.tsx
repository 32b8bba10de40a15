// Home: all flow runs, the newest first; what fits a search; many cancelled at once.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { FlowRun } from "../generated/api";
import { FINAL } from "../generated/states";
import { Button } from "../parts/button";
import { Cancelling } from "../parts/cancelling";
import { Commands, curl, quoted } from "../parts/commands";
import { Deleting } from "../parts/deleting";
import { Histogram } from "../parts/histogram";
import { Empty, Problem } from "../parts/notices";
import { StateBadge, typeOf } from "../parts/state";
import { Tags } from "../parts/facts";
import { type Column, Table } from "../parts/table";
import { at, go, query, setQuery } from "../route";
import { RunList } from "../runs";
import { QUALIFIERS, searchOf, toggled, tokens, withParts } from "../search";
import { briefly, count, many, millis, now, span } from "../words";

const QUICK = ["Running", "Failed", "TimedOut", "Crashed", "Paused", "Cancelling", "Late", "Scheduled"];

export function RunsView() {
  const text = query.value.get("q") ?? "";
  const { filter, problem } = useMemo(() => searchOf(text, Date.now()), [text]);
  useEffect(() => void (document.title = "Runs · Penstock"), []);
  return (
    <>
      <header class="view-head">
        <h1>Runs</h1>
        <Commands
          commands={[
            { does: "List them", cli: `penstock flow-run ls${asOptions(text)}`, rest: curl("POST", "/flow_runs/filter", { filter }) },
            { does: "Cancel those that fit", cli: `penstock flow-run cancel${asOptions(text)}`, rest: curl("POST", "/flow_runs/bulk_cancel", { filter, dry_run: true }) },
          ]}
        />
      </header>
      <SearchField text={text} problem={problem} />
      {!problem && <Runs key={text} text={text} />}
    </>
  );
}

function SearchField({ text, problem }: { text: string; problem: string | null }) {
  const help = useSignal(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (field.current && document.activeElement !== field.current) field.current.value = text;
  }, [text]);
  const used = tokens(text);
  return (
    <div class="search">
      <form
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          setQuery({ q: field.current?.value ?? null }, true);
        }}
      >
        <input
          ref={field}
          type="search"
          data-search
          name="q"
          aria-label="Search runs"
          aria-describedby={problem ? "search-problem" : undefined}
          aria-invalid={!!problem}
          placeholder="state:TimedOut flow:etl tag:nightly after:1d"
          autocomplete="off"
          spellcheck={false}
          defaultValue={text}
          onFocus={() => (help.value = true)}
          onBlur={() => (help.value = false)}
          onKeyDown={(event) => event.key === "Escape" && field.current?.blur()}
          onInput={(event) => event.currentTarget.value === "" && setQuery({ q: null }, true)}
        />
        <button type="submit">Search</button>
      </form>
      {help.value && (
        <dl class="search-help">
          {QUALIFIERS.map(([name, does]) => (
            <div key={name}>
              <dt>
                <code>{name}</code>
              </dt>
              <dd>{does}</dd>
            </div>
          ))}
        </dl>
      )}
      {problem && (
        <p class="problem" id="search-problem" role="alert">
          {problem}
        </p>
      )}
      <div class="chips" role="group" aria-label="States">
        {QUICK.map((name) => (
          <button
            key={name}
            type="button"
            class={`chip state-${(typeOf(name) ?? "PENDING").toLowerCase()}`}
            aria-pressed={used.some(([key, value]) => key === "state" && value.toLowerCase() === name.toLowerCase())}
            onClick={() => setQuery({ q: toggled(text, "state", name) }, true)}
          >
            <StateBadge type={typeOf(name) ?? "PENDING"} name={name} />
          </button>
        ))}
      </div>
    </div>
  );
}

function Runs({ text }: { text: string }) {
  const { filter } = useMemo(() => searchOf(text, Date.now()), [text]);
  const turn = useSignal(0);
  const list = useMemo(() => new RunList(filter, () => turn.value++), [filter]);
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const asks = useSignal<"cancel" | "cancel-all" | "delete" | null>(null);
  useEffect(() => {
    list.start();
    return () => list.stop();
  }, [list]);
  void list.version.value;
  const choose = (id: string) => {
    const next = new Set(chosen.value);
    if (!next.delete(id)) next.add(id);
    chosen.value = next;
  };
  const close = () => (asks.value = null);
  // What is planned would stand before all that has happened: it is counted, and shown to who asks for it.
  const planned = text ? [] : list.items.filter((each) => each.state_name === "Scheduled");
  const items = planned.length ? list.items.filter((each) => each.state_name !== "Scheduled") : list.items;
  const open = list.items.filter((each) => each.state_type && !FINAL.has(each.state_type));
  return (
    <>
      <Histogram
        filter={filter}
        turn={turn.value}
        choose={(start, end) => setQuery({ q: withParts(text, { after: iso(start), before: iso(end) }) }, true)}
      />
      <div class="toolbar">
        <span class="quiet" aria-live="polite">
          {list.total.value === null ? "…" : many(list.total.value, "run")}
          {chosen.value.size ? `, ${count(chosen.value.size)} chosen` : ""}
        </span>
        {planned.length > 0 && (
          <a href={at.runs("state:Scheduled")}>
            {many(planned.length, "run")}
            {list.next ? " or more" : ""} planned for later
          </a>
        )}
        {list.held.value > 0 && <span class="quiet">{many(list.held.value, "change")} held while you point at the list</span>}
        <span class="grow" />
        {chosen.value.size > 0 && (
          <>
            <Button kind="danger" needs="operator" does={() => (asks.value = "cancel")}>
              Cancel {many(chosen.value.size, "run")}
            </Button>
            <Button kind="danger" needs="operator" does={() => (asks.value = "delete")}>
              Delete
            </Button>
            <button type="button" onClick={() => (chosen.value = new Set())}>
              Choose none
            </button>
          </>
        )}
        {!chosen.value.size && open.length > 0 && text && (
          <Button kind="danger" needs="operator" does={() => (asks.value = "cancel-all")}>
            Cancel all that fit…
          </Button>
        )}
      </div>
      <Problem text={list.trouble.value} retry={() => list.read()} />
      <div onMouseEnter={() => list.hold(true)} onMouseLeave={() => list.hold(false)}>
        {items.length > 0 ? (
          <Table
            label="Flow runs"
            items={items}
            id={(run) => run.id}
            open={(run) => go(at.run(run.id))}
            mark={(run) => (list.fits(run) ? "" : "left")}
            columns={columns(chosen.value, choose)}
          />
        ) : (
          !list.loading.value && !planned.length && <Nothing text={text} />
        )}
      </div>
      {list.next && (
        <p class="more">
          <Button does={() => list.readMore()}>More runs</Button>
        </p>
      )}
      {asks.value === "cancel" && (
        <Cancelling ids={[...chosen.value]} title={`Cancel ${many(chosen.value.size, "run")}`} close={close} done={() => (chosen.value = new Set())} />
      )}
      {asks.value === "cancel-all" && <Cancelling filter={filter} title="Cancel all runs that fit the search" close={close} />}
      {asks.value === "delete" && (
        <Deleting
          ids={[...chosen.value]}
          close={close}
          done={() => {
            chosen.value = new Set();
            void list.read();
          }}
        />
      )}
    </>
  );
}

function columns(chosen: ReadonlySet<string>, choose: (id: string) => void): Column<FlowRun>[] {
  return [
    {
      title: "",
      kind: "check-cell",
      cell: (run) => <input type="checkbox" aria-label={`Choose ${run.name}`} checked={chosen.has(run.id)} onChange={() => choose(run.id)} />,
    },
    { title: "State", cell: (run) => <StateBadge type={run.state_type} name={run.state_name} /> },
    {
      title: "Run",
      kind: "wide",
      cell: (run) => (
        <>
          <a href={at.run(run.id)} tabIndex={-1}>
            {run.name}
          </a>
          {run.flow_run_id && <span class="tag">subflow</span>}
        </>
      ),
    },
    { title: "Flow", cell: (run) => run.flow_name },
    { title: "Started", kind: "number", cell: (run) => started(run) },
    { title: "Took", kind: "number narrow-hidden", cell: (run) => took(run) },
    { title: "Tags", kind: "narrow-hidden", cell: (run) => <Tags tags={run.tags} link={(tag) => at.runs(`tag:${tag}`)} /> },
  ];
}

export function started(run: FlowRun): string {
  const begun = millis(run.start_time);
  if (begun !== null) return briefly(begun);
  const expected = millis(run.expected_start_time);
  return expected !== null && run.state_type === "SCHEDULED" ? `at ${briefly(expected)}` : briefly(millis(run.created) ?? 0);
}

export function took(run: FlowRun): string {
  const begun = millis(run.start_time);
  if (begun === null) return "";
  return span((millis(run.end_time) ?? now.value) - begun);
}

function Nothing({ text }: { text: string }) {
  if (text) return <Empty title="No run fits." />;
  return (
    <Empty title="Nothing has run yet. A program with a flow in it fills this list:">
      <pre class="code">{`from penstock import flow

@flow(log_prints=True)
def hello(name: str = "world"):
    print(f"hello {name}")

hello()`}</pre>
      <p>
        Run it where <code>PENSTOCK_API_URL={location.origin}/api</code> is set, or on this machine as the user of this server.
      </p>
    </Empty>
  );
}

function iso(at: number): string {
  return new Date(at).toISOString().replace(".000", "");
}

/** A search as the options of the command line. */
function asOptions(text: string): string {
  const options: Record<string, string> = {
    state: "--state", type: "--state-type", flow: "--flow-name", tag: "--tag", after: "--after", before: "--before",
  };
  return tokens(text)
    .map(([key, value]) => (options[key] ? ` ${options[key]} ${quoted(value)}` : key === "" || key === "name" ? ` --name ${quoted(value)}` : ""))
    .join("");
}
