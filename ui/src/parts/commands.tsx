// Every page tells how the same is asked on the command line and over REST.
import { useSignal } from "@preact/signals";
import { Copy } from "./button";
import { Dialog } from "./dialog";

export interface Command {
  does: string;
  cli?: string;
  rest?: string;
}

export function Commands({ commands }: { commands: Command[] }) {
  const open = useSignal(false);
  return (
    <>
      <button type="button" class="bare" onClick={() => (open.value = true)} title="The same by CLI and REST">
        <span aria-hidden="true">›_</span> CLI &amp; API
      </button>
      {open.value && (
        <Dialog title="The same by command line and REST" close={() => (open.value = false)} wide>
          <dl class="commands">
            {commands.map((each) => (
              <div key={each.does}>
                <dt>{each.does}</dt>
                {each.cli && (
                  <dd>
                    <Copy text={each.cli} />
                  </dd>
                )}
                {each.rest && (
                  <dd>
                    <Copy text={each.rest} />
                  </dd>
                )}
              </div>
            ))}
          </dl>
          <p class="quiet">
            All of it: <a href="/docs">the REST API</a>, and <code>penstock --help</code>.
          </p>
        </Dialog>
      )}
    </>
  );
}

/** A value as an argument of a shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export function curl(method: string, path: string, body?: unknown): string {
  const data = body === undefined ? "" : ` -H 'content-type: application/json' -d ${quoted(JSON.stringify(body))}`;
  return `curl -X ${method} ${location.origin}/api${path}${data}`;
}
