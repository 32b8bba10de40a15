"""An agent: a model says which tool to call, the flow calls it, and the model is told what came of it.

The model of this example is a script (`scripted_model.py`). What is dangerous waits for a person's approval.
"""

from pathlib import Path

from penstock import flow, task
from penstock.approvals import require_approval
from penstock.artifacts import create_table_artifact

from scripted_model import Answer, Message, Model, ScriptedModel, ToolCall
from tools import TOOLS, ToolError, make


# Results are kept: a run that is entered again does not ask the model twice, and calls no tool twice.
@task(task_run_name="turn-{turn}", retries=2, retry_delay_seconds=0.5, persist_result=True)
def think(model: Model, conversation: list[Message], turn: int) -> ToolCall | Answer:
    return model.next_step(conversation)


# No retries: a tool that failed half-way may have done its work.
@task(task_run_name="{call.tool}", tags=["tool"], persist_result=True)
def use(call: ToolCall, folder: Path) -> str:
    tool = TOOLS.get(call.tool)
    if tool is None:
        return f"there is no tool {call.tool!r}; there are: {', '.join(TOOLS)}"
    try:
        return tool.function(folder, **call.arguments)
    except (ToolError, TypeError) as error:  # the model's mistake: it is told, and may do better
        return f"that did not work: {error}"


def allowed(call: ToolCall, turn: int) -> str | None:
    """None if the call may be made, or why not. Waits for a person where the tool is dangerous."""
    tool = TOOLS.get(call.tool)
    if tool is None or not tool.dangerous:
        return None
    approval = require_approval(
        f"The agent wants to call `{call}`. {tool.function.__doc__}",
        key=f"turn-{turn}",  # entered again, the run does not ask a second time what was decided
        timeout=3600,
        on_timeout="reject",
        raise_on_rejection=False,
    )
    if approval.approved:
        return None
    return f"{call.tool} was not allowed: {approval.comment or 'no reason given'}"


@flow(flow_run_name="agent", log_prints=True)
def agent(goal: str, folder: Path, most_turns: int = 10) -> str:
    model: Model = ScriptedModel()
    conversation = [Message("user", goal)]
    steps: list[dict[str, str]] = []
    for turn in range(most_turns):
        step = think(model, conversation, turn)
        if isinstance(step, Answer):
            create_table_artifact(steps, key="agent-steps", description=goal)
            print(step.text)
            return step.text
        refused = allowed(step, turn)
        came_of_it = refused or use(step, folder)
        print(f"{step}: {came_of_it}")
        steps.append({"call": str(step), "came of it": came_of_it})
        conversation += [Message("model", str(step)), Message("tool", came_of_it)]
    # A model that goes round in circles costs money: the run fails, and somebody looks.
    raise RuntimeError(f"The goal was not reached in {most_turns} turns.")


if __name__ == "__main__":
    make(Path("desk"))
    agent("Tidy up the desk.", Path("desk"))
