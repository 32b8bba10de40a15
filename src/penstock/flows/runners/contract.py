"""What a task runner must offer. A flow has one; each run of the flow works with a duplicate of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from ...engine.task_run import TaskCall


class TaskRunner(Protocol):
    """Runs task runs beside the flow. The runner performs a call's script; how, is its own affair."""

    def duplicate(self) -> Self:
        """A runner with the same options and no work: for one run of a flow."""

    def submit(self, call: TaskCall) -> None:
        """Sees to it that the call's script is performed, after the futures in `call.upstream` are done.

        Returns without waiting for that. The script settles `call.future`, however it ends.
        """

    def close(self) -> None:
        """No more work will come. Threads and processes that are idle end; what runs is not waited for."""
