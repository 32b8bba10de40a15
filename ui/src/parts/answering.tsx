// Answering what a run waits for: with a form, where it asked for input; approving or rejecting, where it asked for that.
import { useSignal } from "@preact/signals";
import { sentence } from "../ask";
import { approveFlowRun, type FlowRun, type Pause, rejectFlowRun, resumeFlowRun } from "../generated/api";
import { beginningOf, type Schema } from "../schema";
import { away, briefly, millis, now } from "../words";
import { Button } from "./button";
import { Dialog } from "./dialog";
import { SchemaForm, useBroken } from "./form";
import { Problem, say } from "./notices";

interface Props {
  run: FlowRun;
  pause: Pause | null;
  close: () => void;
  done?: (run: FlowRun) => void;
}

export function Answering({ run, pause, close, done }: Props) {
  const schema = (pause?.schema ?? null) as Schema | null;
  const initial = pause?.initial;
  const input = useSignal<unknown>(schema ? beginningOf(schema, schema, pause?.plain && initial != null ? { value: initial } : (initial ?? {})) : undefined);
  const comment = useSignal("");
  const refused = useSignal<string | null>(null);
  const broken = useBroken();
  const deadline = millis(pause?.deadline);

  async function answer(verdict: "go" | "reject"): Promise<void> {
    const given = { id: run.id, comment: comment.value || null };
    try {
      const found =
        verdict === "reject"
          ? await rejectFlowRun(given)
          : await (pause?.approval ? approveFlowRun : resumeFlowRun)(schema ? { ...given, run_input: input.value } : given);
      say(verdict === "reject" ? `Rejected: ${run.name}` : pause?.approval ? `Approved: ${run.name}` : `Resumed: ${run.name}`);
      done?.(found);
      close();
    } catch (error) {
      refused.value = sentence(error);
    }
  }

  return (
    <Dialog title={`${pause?.approval ? "Decide on" : "Resume"} ${run.name}`} close={close}>
      {/* Enter in a field decides nothing: a click does. */}
      <form onSubmit={(event) => event.preventDefault()}>
        {pause?.text && <p class="asked">{pause.text}</p>}
        {pause?.event && <p>It waits for an event {pause.event.event}; resumed, it goes on without it.</p>}
        {deadline !== null && (
          <p class="quiet">
            Until {briefly(deadline)}, {away(deadline, now.value)}.
          </p>
        )}
        {!!pause?.approvers?.length && (
          <p class="quiet">
            Asked: {pause.approvers.join(", ")}
            {(pause.quorum ?? 1) > 1 ? `; ${pause.decisions?.length ?? 0} of ${pause.quorum} have approved` : ""}
          </p>
        )}
        {schema && <SchemaForm schema={schema} value={input.value} change={(given) => (input.value = given)} broken={broken.mark} />}
        <div class="field">
          <label for="comment">Comment</label>
          <input id="comment" autocomplete="off" value={comment.value} onInput={(event) => (comment.value = event.currentTarget.value)} />
        </div>
        <Problem text={refused.value} />
        <footer>
          {pause?.approval && (
            <Button kind="danger" needs="operator" does={() => answer("reject")}>
              Reject
            </Button>
          )}
          <Button kind="main" needs="operator" disabled={broken.any} does={() => answer("go")}>
            {pause?.approval ? "Approve" : "Resume"}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}
