"""What stands in for a language model: a script. It understands nothing, and says the same in every run.

`Model` is all that the agent knows of a model. Write a class with `next_step` that asks a real one (send it the
conversation and `tools.DESCRIPTIONS`, and read its answer), and give the agent that.
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class ToolCall:
    tool: str
    arguments: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.tool}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"


@dataclass(frozen=True)
class Answer:
    text: str


@dataclass(frozen=True)
class Message:
    """`who` is user, model or tool."""

    who: str
    text: str


class Model(Protocol):
    def next_step(self, conversation: list[Message]) -> ToolCall | Answer: ...


class ScriptedModel:
    """Follows its script: a step for each turn, whatever the tools gave. Its answer tells what they gave last."""

    SCRIPT = (
        ToolCall("list_files"),
        ToolCall("read_file", {"name": "notes.txt"}),
        ToolCall("delete_file", {"name": "old.log"}),
        ToolCall("delete_file", {"name": "customers.csv"}),
        ToolCall("format_disk"),
        ToolCall("list_files"),
    )

    def next_step(self, conversation: list[Message]) -> ToolCall | Answer:
        turn = sum(message.who == "model" for message in conversation)
        if turn < len(self.SCRIPT):
            return self.SCRIPT[turn]
        return Answer(f"(a script speaks, no model) What is left: {conversation[-1].text}")
