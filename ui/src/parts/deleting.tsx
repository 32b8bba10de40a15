// Deleting runs: what goes with them is said first. A run that has not ended stays.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { sentence } from "../ask";
import { bulkDeleteFlowRuns, type BulkDeleted } from "../generated/api";
import { many } from "../words";
import { AskDialog } from "./ask_dialog";
import { Problem, say } from "./notices";

export function Deleting({ ids, close, done }: { ids: string[]; close: () => void; done: () => void }) {
  const preview = useSignal<BulkDeleted | null>(null);
  const refused = useSignal<string | null>(null);
  useEffect(() => {
    bulkDeleteFlowRuns({ ids, dry_run: true }).then(
      (found) => (preview.value = found),
      (error) => (refused.value = sentence(error)),
    );
  }, []);
  async function remove(): Promise<void> {
    const found = await bulkDeleteFlowRuns({ ids });
    say(`${many(found.ids.length, "run")} deleted`);
    done();
  }
  const found = preview.value;
  return (
    <AskDialog title={`Delete ${many(ids.length, "run")}`} does="Delete for good" danger disabled={!found} close={close} run={remove}>
      {found && (
        <p>
          {many(found.ids.length, "run")}
          {found.subflow_runs ? ` and ${many(found.subflow_runs, "subflow run")} below` : ""}, with all task runs and logs, are gone for good.
        </p>
      )}
      <Problem text={refused.value} />
    </AskDialog>
  );
}
