// Concurrency limits: how much of each is taken, by whom, and who waits.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import {
  createConcurrencyLimit, deleteConcurrencyLimit, filterConcurrencyLimits, type Holding, type LimitRead, readConcurrencyLimit, resetConcurrencyLimit,
  updateConcurrencyLimit,
} from "../generated/api";
import { useLoaded } from "../load";
import { AskDialog, numberIn, TextField } from "../parts/ask_dialog";
import { Button } from "../parts/button";
import { Commands, curl } from "../parts/commands";
import { attempt, Empty, Problem } from "../parts/notices";
import { Table } from "../parts/table";
import { at, query, setQuery } from "../route";
import { briefly, millis } from "../words";

export function LimitsView() {
  useEffect(() => void (document.title = "Limits · Penstock"), []);
  const { value, error, reload } = useLoaded(() => filterConcurrencyLimits({ limit: 500 }), [], 3);
  const asks = useSignal<{ what: "make" | "change" | "delete" | "reset"; limit?: LimitRead } | null>(null);
  const chosen = query.value.get("limit");
  const found = value.value?.items;
  const close = () => (asks.value = null);
  return (
    <>
      <header class="view-head">
        <h1>Limits</h1>
        <Button needs="operator" does={() => (asks.value = { what: "make" })}>
          Make a limit
        </Button>
        <Commands
          commands={[
            { does: "List them", cli: "penstock concurrency-limit ls", rest: curl("POST", "/concurrency_limits/filter", {}) },
            { does: "Make one", cli: "penstock concurrency-limit create TAG --tag --limit 5", rest: curl("POST", "/concurrency_limits", { name: "tag:TAG", limit: 5 }) },
          ]}
        />
      </header>
      <Problem text={error.value} retry={reload} />
      {found && !found.length && (
        <Empty title="There are no limits: any number of task runs may be at work. One for a tag:">
          <pre class="code">penstock concurrency-limit create database --tag --limit 5</pre>
        </Empty>
      )}
      {!!found?.length && (
        <Table
          label="Concurrency limits"
          items={found}
          id={(each) => each.id}
          open={(each) => setQuery({ limit: chosen === each.name ? null : each.name })}
          columns={[
            { title: "Limit", kind: "wide", cell: (each) => <Named limit={each} /> },
            { title: "Taken", cell: (each) => <Taken limit={each} /> },
            { title: "Comes free", kind: "narrow-hidden", cell: (each) => (each.slot_decay_per_second ? `${each.slot_decay_per_second} a second` : "when it is given back") },
            {
              title: "Does",
              cell: (each) => (
                <span class="actions">
                  <Button needs="operator" does={() => attempt(() => updateConcurrencyLimit({ id_or_name: each.name, active: !each.active }).then(reload))}>
                    {each.active ? "Turn off" : "Turn on"}
                  </Button>
                  <Button needs="operator" does={() => (asks.value = { what: "change", limit: each })}>
                    Change
                  </Button>
                  <Button needs="operator" does={() => (asks.value = { what: "reset", limit: each })}>
                    Free all
                  </Button>
                  <Button needs="operator" kind="danger" does={() => (asks.value = { what: "delete", limit: each })}>
                    Delete
                  </Button>
                </span>
              ),
            },
          ]}
        />
      )}
      {chosen && <Holders name={chosen} />}
      {asks.value && (asks.value.what === "make" || asks.value.what === "change") && <Making limit={asks.value.limit} close={close} reload={reload} />}
      {asks.value?.what === "delete" && asks.value.limit && (
        <AskDialog
          title={`Delete the limit ${asks.value.limit.name}`}
          does="Delete"
          danger
          close={close}
          run={() => deleteConcurrencyLimit({ id_or_name: asks.value?.limit?.name ?? "" }).then(reload)}
        >
          <p>Who waits for it goes on at once.</p>
        </AskDialog>
      )}
      {asks.value?.what === "reset" && asks.value.limit && (
        <AskDialog
          title={`Free all slots of ${asks.value.limit.name}`}
          does="Free them"
          danger
          close={close}
          run={() => resetConcurrencyLimit({ id_or_name: asks.value?.limit?.name ?? "" }).then(reload)}
        >
          <p>Who holds them is not stopped: for a while more may be at work than the limit says.</p>
        </AskDialog>
      )}
    </>
  );
}

function Named({ limit }: { limit: LimitRead }) {
  const isTag = limit.name.startsWith("tag:");
  return (
    <>
      {isTag ? limit.name.slice(4) : limit.name} <span class="tag">{isTag ? "task tag" : limit.slot_decay_per_second ? "rate" : "slots"}</span>
      {!limit.active && <span class="tag warn">off</span>}
    </>
  );
}

function Taken({ limit }: { limit: LimitRead }) {
  const taken = Math.round(limit.active_slots * 100) / 100;
  return (
    <span class="meter">
      <progress max={Math.max(limit.limit, 1)} value={Math.min(taken, limit.limit)} aria-label={`${taken} of ${limit.limit} slots taken`} />
      {taken} of {limit.limit}
    </span>
  );
}

function Holders({ name }: { name: string }) {
  const { value, error } = useLoaded(() => readConcurrencyLimit({ id_or_name: name }), [name], 2);
  const found = value.value;
  return (
    <section>
      <h2>{name}</h2>
      <Problem text={error.value} />
      {found && (
        <>
          <h3>Held by</h3>
          <List holdings={found.holding ?? []} none="Nobody." />
          <h3>Waiting, in this order</h3>
          <List holdings={found.waiting ?? []} none="Nobody." />
        </>
      )}
    </section>
  );
}

function List({ holdings, none }: { holdings: Holding[]; none: string }) {
  if (!holdings.length) return <p class="quiet">{none}</p>;
  return (
    <ol class="plain-list">
      {holdings.map((each) => (
        <li key={each.id}>
          {each.flow_run_id ? (
            <a href={each.run_id && each.run_id !== each.flow_run_id ? at.taskRun(each.flow_run_id, each.run_id) : at.run(each.flow_run_id)}>
              {each.run_id && each.run_id !== each.flow_run_id ? `task run ${each.run_id.slice(-8)}` : `flow run ${each.flow_run_id.slice(-8)}`}
            </a>
          ) : (
            (each.holder ?? "a client")
          )}{" "}
          <span class="quiet">
            {each.occupy} slot{each.occupy === 1 ? "" : "s"} since {briefly(millis(each.taken ?? each.asked) ?? 0)}
            {each.holder && each.flow_run_id ? `, ${each.holder}` : ""}
          </span>
        </li>
      ))}
    </ol>
  );
}

function Making({ limit, close, reload }: { limit?: LimitRead; close: () => void; reload: () => Promise<void> }) {
  const tag = useSignal(!limit || limit.name.startsWith("tag:"));
  const name = useSignal(limit?.name.replace(/^tag:/, "") ?? "");
  const slots = useSignal(String(limit?.limit ?? 1));
  const decay = useSignal(limit?.slot_decay_per_second ? String(limit.slot_decay_per_second) : "");
  return (
    <AskDialog
      title={limit ? `Change the limit ${limit.name}` : "Make a limit"}
      does={limit ? "Change" : "Make"}
      disabled={!name.value.trim() || !(Number(slots.value) >= 0)}
      close={close}
      run={async () => {
        const given = { limit: Number(slots.value), slot_decay_per_second: numberIn(decay.value) ?? 0 };
        if (limit) await updateConcurrencyLimit({ id_or_name: limit.name, ...given });
        else await createConcurrencyLimit({ name: `${tag.value ? "tag:" : ""}${name.value.trim()}`, ...given });
        await reload();
      }}
    >
      {!limit && (
        <>
          <label class="check">
            <input type="checkbox" checked={tag.value} onChange={() => (tag.value = !tag.value)} /> of task runs with a tag
          </label>
          <TextField label={tag.value ? "Tag" : "Name"} value={name.value} set={(text) => (name.value = text)} />
        </>
      )}
      <TextField label="Slots" number short value={slots.value} set={(text) => (slots.value = text)} />
      <TextField
        label="Slots that come free a second (empty: when they are given back)"
        number
        short
        value={decay.value}
        set={(text) => (decay.value = text)}
      />
    </AskDialog>
  );
}
