// Stored values: variables, which anybody may read, and blocks, whose secrets are never shown.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import {
  type Block, createBlockDocument, createVariable, deleteBlockDocument, deleteVariable, filterBlockDocuments, filterVariables, updateVariable,
  type VariableRecord,
} from "../generated/api";
import { useLoaded } from "../load";
import { AskDialog, TextField } from "../parts/ask_dialog";
import { Button, Copy } from "../parts/button";
import { Commands, curl } from "../parts/commands";
import { Json, Tags } from "../parts/facts";
import { JsonField, useBroken } from "../parts/form";
import { Empty, Problem } from "../parts/notices";
import { Table } from "../parts/table";
import { query, setQuery } from "../route";
import { briefly, millis } from "../words";

const HIDDEN = "••••••";

export function BlocksView() {
  useEffect(() => void (document.title = "Blocks & variables · Penstock"), []);
  return (
    <>
      <header class="view-head">
        <h1>Blocks &amp; variables</h1>
        <Commands
          commands={[
            { does: "List variables", cli: "penstock variable ls", rest: curl("POST", "/variables/filter", {}) },
            { does: "Set one", cli: "penstock variable set NAME VALUE", rest: curl("POST", "/variables", { name: "NAME", value: "VALUE" }) },
            { does: "List blocks", cli: "penstock block ls", rest: curl("POST", "/block_documents/filter", {}) },
          ]}
        />
      </header>
      <Variables />
      <Blocks />
    </>
  );
}

function Variables() {
  const { value, error, reload } = useLoaded(() => filterVariables({ limit: 500 }), [], 10);
  const asks = useSignal<{ what: "set" | "delete"; variable?: VariableRecord } | null>(null);
  const found = value.value?.items;
  return (
    <section>
      <header class="view-head">
        <h2>Variables</h2>
        <Button needs="operator" does={() => (asks.value = { what: "set" })}>
          Set a variable
        </Button>
      </header>
      <Problem text={error.value} retry={reload} />
      {found && !found.length && (
        <Empty title="There are no variables. A flow reads one by:">
          <pre class="code">{'from penstock.variables import Variable\n\nVariable.get("answer", default=42)'}</pre>
        </Empty>
      )}
      {!!found?.length && (
        <Table
          label="Variables"
          items={found}
          id={(each) => each.name}
          columns={[
            { title: "Name", cell: (each) => <Copy text={each.name} /> },
            { title: "Value", kind: "wide", cell: (each) => <code class="cut">{JSON.stringify(each.value)}</code> },
            { title: "Tags", kind: "narrow-hidden", cell: (each) => <Tags tags={each.tags} /> },
            { title: "Changed", kind: "number narrow-hidden", cell: (each) => briefly(millis(each.updated) ?? 0) },
            {
              title: "Does",
              cell: (each) => (
                <span class="actions">
                  <Button needs="operator" does={() => (asks.value = { what: "set", variable: each })}>
                    Change
                  </Button>
                  <Button needs="operator" kind="danger" does={() => (asks.value = { what: "delete", variable: each })}>
                    Delete
                  </Button>
                </span>
              ),
            },
          ]}
        />
      )}
      {asks.value?.what === "set" && <Setting variable={asks.value.variable} close={() => (asks.value = null)} reload={reload} />}
      {asks.value?.what === "delete" && asks.value.variable && (
        <AskDialog
          title={`Delete the variable ${asks.value.variable.name}`}
          does="Delete"
          danger
          close={() => (asks.value = null)}
          run={() => deleteVariable({ name: asks.value?.variable?.name ?? "" }).then(reload)}
        >
          <p>Flows that read it get their default from then on.</p>
        </AskDialog>
      )}
    </section>
  );
}

function Setting({ variable, close, reload }: { variable?: VariableRecord; close: () => void; reload: () => Promise<void> }) {
  const name = useSignal(variable?.name ?? "");
  const value = useSignal<unknown>(variable?.value ?? "");
  const tags = useSignal((variable?.tags ?? []).join(", "));
  const broken = useBroken();
  return (
    <AskDialog
      title={variable ? `Change ${variable.name}` : "Set a variable"}
      does={variable ? "Change" : "Set"}
      disabled={broken.any || !name.value.trim() || value.value === undefined}
      close={close}
      run={async () => {
        const given = { value: value.value, tags: tags.value.split(",").map((each) => each.trim()).filter(Boolean) };
        if (variable) await updateVariable({ name: variable.name, ...given });
        else await createVariable({ name: name.value.trim(), ...given });
        await reload();
      }}
    >
      {!variable && <TextField label="Name" value={name.value} set={(text) => (name.value = text)} />}
      <div class="field">
        <span>
          Value, as JSON: <code>"text"</code>, <code>3</code>, <code>{"{…}"}</code>
        </span>
        <JsonField label="Value as JSON" rows={5} value={value.value} change={(given) => (value.value = given)} broken={broken.mark} />
      </div>
      <TextField label="Tags, by commas" value={tags.value} set={(text) => (tags.value = text)} />
    </AskDialog>
  );
}

function Blocks() {
  const { value, error, reload } = useLoaded(() => filterBlockDocuments({ limit: 500 }), [], 10);
  const asks = useSignal<{ what: "make" | "delete"; block?: Block } | null>(null);
  const chosen = query.value.get("block");
  const found = value.value?.items;
  const block = found?.find((each) => each.id === chosen);
  return (
    <section>
      <header class="view-head">
        <h2>Blocks</h2>
        <Button needs="operator" does={() => (asks.value = { what: "make" })}>
          Make a secret
        </Button>
      </header>
      <Problem text={error.value} retry={reload} />
      {found && !found.length && (
        <Empty title="There are no blocks. They are made in Python, or by the command line:">
          <pre class="code">{'from penstock.blocks import SlackWebhook\n\nSlackWebhook(url="https://…").save("alerts")'}</pre>
        </Empty>
      )}
      {!!found?.length && (
        <Table
          label="Blocks"
          items={found}
          id={(each) => each.id}
          open={(each) => setQuery({ block: chosen === each.id ? null : each.id })}
          columns={[
            { title: "Type", cell: (each) => <span class="tag">{each.type}</span> },
            { title: "Name", kind: "wide", cell: (each) => each.name },
            { title: "Secrets", kind: "number narrow-hidden", cell: (each) => each.secrets?.length ?? 0 },
            { title: "Changed", kind: "number narrow-hidden", cell: (each) => briefly(millis(each.updated) ?? 0) },
            {
              title: "Does",
              cell: (each) => (
                <Button needs="operator" kind="danger" does={() => (asks.value = { what: "delete", block: each })}>
                  Delete
                </Button>
              ),
            },
          ]}
        />
      )}
      {block && (
        <>
          <h3>
            {block.type}/{block.name}
          </h3>
          <Json value={hidden(block)} />
        </>
      )}
      {asks.value?.what === "make" && <MakingSecret close={() => (asks.value = null)} reload={reload} />}
      {asks.value?.what === "delete" && asks.value.block && (
        <AskDialog
          title={`Delete the block ${asks.value.block.type}/${asks.value.block.name}`}
          does="Delete"
          danger
          close={() => (asks.value = null)}
          run={() => deleteBlockDocument({ type: asks.value?.block?.type ?? "", name: asks.value?.block?.name ?? "" }).then(reload)}
        >
          <p>Flows and automations that load it fail from then on.</p>
        </AskDialog>
      )}
    </section>
  );
}

/** Its fields, with a mark where a secret is. */
function hidden(block: Block): unknown {
  const shown = structuredClone(block.data) as Record<string, unknown>;
  for (const place of block.secrets ?? []) {
    let inner = shown as Record<string | number, unknown>;
    for (const step of place.slice(0, -1)) inner = inner[step] as Record<string | number, unknown>;
    const last = place.at(-1);
    if (last !== undefined) inner[last] = HIDDEN;
  }
  return shown;
}

function MakingSecret({ close, reload }: { close: () => void; reload: () => Promise<void> }) {
  const name = useSignal("");
  const secret = useSignal("");
  return (
    <AskDialog
      title="Make a secret"
      does="Make"
      disabled={!name.value.trim() || !secret.value}
      close={close}
      run={async () => {
        const secrets = [{ place: ["value"], value: secret.value }];
        await createBlockDocument({ type: "secret", name: name.value.trim(), data: { value: null }, secrets });
        await reload();
      }}
    >
      <TextField label="Name" value={name.value} set={(text) => (name.value = text)} />
      <TextField label="Value" hidden value={secret.value} set={(text) => (secret.value = text)} />
      <p class="quiet">
        It is stored encrypted, and not shown again. A flow reads it by <code>Secret.load("{name.value || "NAME"}").get()</code>.
      </p>
    </AskDialog>
  );
}
